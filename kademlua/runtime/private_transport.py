"""The transport of a private network: adds the tag to what goes out, and lets in only what
has it. The rest of the node knows of it only that a request may have to be sent again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from hmac import compare_digest

from kademlua.core.contact import Endpoint
from kademlua.core.reasons import DropReason
from kademlua.core.security.network_key import TAG_BYTES, Tagger
from kademlua.core.security.replay_protection import (
    NO_TRAILER,
    TICKET_BYTES,
    TRAILER,
    Repeats,
    Sessions,
)
from kademlua.core.wire.packets import CALL_AT, CHALLENGE, REQUEST, RPC_ID_AT, SHORTEST
from kademlua.runtime.transport import Receiver, Transport

InFlight = Callable[[bytes, Endpoint], "bytes | None"]
"""The datagram of the call in flight with this rpc id to that endpoint, to be sent again."""

_SHORTEST = SHORTEST + TAG_BYTES
_IS_CHALLENGE = bytes([CHALLENGE])
_pack_trailer = TRAILER.pack


class KeyedTransport:
    """A transport around another one, for nodes that have the network's key."""

    def __init__(
        self,
        transport: Transport,
        keys: Sequence[bytes],
        dropped: Counter[str],
        rng: random.Random,
    ) -> None:
        """The first key tags, all are accepted. What is not let in is counted in ``dropped``
        by its reason. TypeError and ValueError for what is no key."""
        self._transport = transport
        self._dropped = dropped
        self._tagger = Tagger(keys)
        self._sessions = Sessions(rng)
        self._repeats = Repeats()
        self.in_flight: InFlight = lambda rpc_id, endpoint: None
        """Asked for the request that a challenge belongs to; to be set before ``start``."""
        # Tags are made here and not in the tagger, trailers not in the session: each function
        # called for each datagram would cost half a per cent of an RPC.
        self._begin_tag = self._tagger.begin
        self._session = self._sessions.get
        self._why_not = self._sessions.why_not
        self._emit = transport.send

    @property
    def local(self) -> Endpoint:
        """Where it is bound, once started."""
        return self._transport.local

    @property
    def is_behind(self) -> bool:
        """Whether more comes in than is taken."""
        return self._transport.is_behind

    @property
    def reaches_v4(self) -> bool:
        """Whether it can send to IPv4 addresses."""
        return self._transport.reaches_v4

    @property
    def reaches_v6(self) -> bool:
        """Whether it can send to IPv6 addresses."""
        return self._transport.reaches_v6

    def start(self, receive: Receiver) -> None:
        """Bind and begin to hand on datagrams without their tags; OSError where that fails."""
        self._hand_on = receive
        self._transport.start(self._receive)

    def close(self) -> None:
        """Stop and free everything; idempotent."""
        self._transport.close()

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Tag and send, or drop; False where the system would not take it."""
        if datagram[CALL_AT] == REQUEST:
            session = self._session(endpoint)
            if session is None:
                datagram += NO_TRAILER
            else:
                session.counter = counter = session.counter + 1
                datagram += _pack_trailer(session.ours, counter)
        tag = self._begin_tag()
        tag.update(datagram)
        return self._emit(datagram + tag.digest(), endpoint)

    def _receive(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Let a datagram in, or not; called by the event loop's greenlet."""
        if len(datagram) < _SHORTEST:
            self._dropped[DropReason.SHORT] += 1
            return
        body, its_tag = datagram[:-TAG_BYTES], datagram[-TAG_BYTES:]
        tag = self._begin_tag()
        tag.update(body)
        is_right = compare_digest(tag.digest(), its_tag)
        if not is_right and not self._tagger.is_by_another(body, its_tag):
            self._dropped[DropReason.BAD_MAC] += 1
            return
        call = body[CALL_AT]
        if call == REQUEST:
            reason = self._why_not(endpoint, body)
            if reason is not None:
                self._dropped[reason] += 1
                if reason is DropReason.UNPROVEN:
                    self._challenge(body, endpoint)
                return
        elif call == CHALLENGE:
            self._challenged(body, endpoint)
            return
        # That a response is no recorded one, its rpc id says, which is used once and can't be
        # guessed.
        self._hand_on(body, endpoint)

    def _challenge(self, request: bytes, endpoint: Endpoint) -> None:
        """Answer a request that may be a recorded one with a ticket to be shown."""
        body = request[:CALL_AT] + _IS_CHALLENGE + self._sessions.ticket(endpoint)
        if len(body) < len(request):  # never more than came
            self._emit(self._tagger.tagged(body), endpoint)

    def _challenged(self, body: bytes, endpoint: Endpoint) -> None:
        """A request of ours needs a ticket: repeat it with that."""
        rpc_id, ticket = body[RPC_ID_AT:CALL_AT], body[SHORTEST:]
        may = len(ticket) == TICKET_BYTES and self._repeats.may(rpc_id, ticket)
        request = self.in_flight(rpc_id, endpoint) if may else None
        if request is None:
            self._dropped[DropReason.UNEXPECTED_CHALLENGE] += 1
            return
        self._repeats.note(rpc_id, ticket)
        self._sessions.take(endpoint, ticket)
        self.send(request, endpoint)
