"""Address validation as a state machine: what validates an address, and what never does."""

from __future__ import annotations

from typing import Any

import gevent
import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule, run_state_machine_as_test

from kademlua import Params
from kademlua.core.contact import Endpoint
from kademlua.core.security.validated_addresses import VALIDATION_LIFETIME
from kademlua.core.security.write_tokens import ROTATION_INTERVAL
from kademlua.core.wire.packets import Request
from kademlua.rpc.address_validation import AddressValidator
from kademlua.rpc.request_gate import AMPLIFICATION_LIMIT, RequestGate
from tests.support.world import World

SIMILAR_ENDPOINTS: list[Endpoint] = [
    ("192.0.2.1", 4000),
    ("192.0.2.14", 400),
    ("192.0.2.1", 40),
    ("2001:470:7abc:1234:2600::", 54321),
    ("2600::", 1234),
    ("::c000:201", 4000),
    ("::2", 5432),
]
"""Their texts, joined with others, are the same in places."""
ENDPOINTS = st.sampled_from(SIMILAR_ENDPOINTS)
IDS = st.sampled_from([b"i" * 20, b"i" * 19 + b"k", b"5" * 20])
KEYS = st.sampled_from([b"k" * 20, b"k" * 19 + b"1", b"4000:192.0.2.1" + b"k" * 6])
OTHER_KEYS: st.SearchStrategy[object] = st.sampled_from(
    [b"", b"k" * 19, b"k" * 21, b"k" * 20 + b"54321:2001:470:7abc:", b"k" * 40, b"k" * 64, 5, None]
)
KEY_SUFFIXES = [b"0", b"54321:", b"54321:2001:470:7abc:"]
SIZES = st.integers(62, 61_024) | st.integers(21_830, 21_870)
"""About 21,858: three times that is the size of the largest datagram and of a ping."""


class Validation(RuleBasedStateMachine):
    """Requests, tokens and time, beside a model that remembers who may do what."""

    tokens = Bundle("tokens")

    def __init__(self, gate: RequestGate, validator: AddressValidator, now: Any) -> None:
        super().__init__()
        self.gate = gate
        self.validator = validator
        self.now = now
        self.issued: dict[tuple[bytes, Endpoint, bytes, bytes], float] = {}
        """When each token was issued to an endpoint, an id and a key."""
        self.validated: dict[Endpoint, float] = {}

    def request(self, endpoint: Endpoint, node_id: bytes, size: int) -> Request:
        """Return a request as the node marks it when it arrives."""
        now = self.now()
        permit = self.gate.admit(size, endpoint, None, now)
        assert permit is not None
        request = Request(node_id, b"rpc-id-8", b"store", [], 1)
        request.permit, request.size, request.received_at = permit, size, now
        validated_at = self.validated.get(endpoint)
        assert permit.is_validated == (
            validated_at is not None and now - validated_at <= VALIDATION_LIFETIME
        )
        assert permit.is_validated or permit.reply_budget < AMPLIFICATION_LIMIT * size
        return request

    @rule(endpoint=ENDPOINTS, node_id=IDS, size=SIZES)
    def arrive(self, endpoint: Endpoint, node_id: bytes, size: int) -> None:
        self.request(endpoint, node_id, size)

    @rule(target=tokens, endpoint=ENDPOINTS, node_id=IDS, key=KEYS)
    def issue(self, endpoint: Endpoint, node_id: bytes, key: bytes) -> bytes:
        request = self.request(endpoint, node_id, 100)
        token = self.validator.issue_token(request, endpoint, key)
        assert bool(token) != request.permit.is_validated
        if token:
            self.issued[token, endpoint, node_id, key] = self.now()
        return token

    @rule(
        token=tokens | st.binary(min_size=8, max_size=8),
        endpoint=ENDPOINTS,
        node_id=IDS,
        key=KEYS | OTHER_KEYS,
        size=SIZES,
    )
    def show(
        self, token: bytes, endpoint: Endpoint, node_id: bytes, key: object, size: int
    ) -> None:
        self._show(token, endpoint, node_id, key, size)

    @rule(data=st.data(), size=SIZES)
    def show_issued(self, data: st.DataObject, size: int) -> None:
        """Show a token as its sender, or as one that differs in a part."""
        if not self.issued:
            return
        token, endpoint, node_id, key = data.draw(st.sampled_from(list(self.issued)))
        endpoint = data.draw(st.just(endpoint) | ENDPOINTS)
        node_id = data.draw(st.just(node_id) | IDS)
        keys = st.sampled_from([key, *(key + suffix for suffix in KEY_SUFFIXES)])
        self._show(token, endpoint, node_id, data.draw(keys), size)

    def _show(
        self, token: bytes, endpoint: Endpoint, node_id: bytes, key: object, size: int
    ) -> None:
        request = self.request(endpoint, node_id, size)
        was_validated = request.permit.is_validated
        is_accepted = self.validator.accept_token(request, endpoint, key, token)
        issued_at = -1e9
        if isinstance(key, bytes):
            issued_at = self.issued.get((token, endpoint, node_id, key), issued_at)
        age = self.now() - issued_at
        if age < ROTATION_INTERVAL:
            assert is_accepted
        if age > 2 * ROTATION_INTERVAL:  # also if it was issued to another sender or key
            assert not is_accepted
        if is_accepted:
            self.validated[endpoint] = self.now()
        assert request.permit.is_validated == (is_accepted or was_validated)

    @rule(seconds=st.sampled_from([0.1, 100, 299, 301, 599, 601]))
    def wait(self, seconds: float) -> None:
        gevent.sleep(seconds)


def test_only_the_own_token_validates_an_address(world: World) -> None:
    params = Params(exempt_private=False, max_value_bytes=60_000, request_time_per_subnet=1_000)
    params = params.replace(unvalidated_request_time=1_000)

    class OfOneNode(Validation):
        def __init__(self) -> None:
            node = world.unstarted_node(params=params)
            super().__init__(node.services.gate, node.services.validator, lambda: world.now)

    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # hypothesis has no types for it
        OfOneNode,
        settings=settings(
            max_examples=100,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
