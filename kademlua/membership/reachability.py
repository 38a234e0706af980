"""Reachability: the node's external address, and whether peers can reach it.

The node asks a contact for a dial-back. The contact asks a third node, which sends a datagram. If
it arrives from an address to which this node has sent nothing for ten minutes, no NAT blocks
incoming packets (compare STUN, RFC 5389, and AutoNAT of libp2p). An unreachable node becomes a
client: as a contact it would only cost its peers time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kademlua.core.contact import Contact, Endpoint, format_endpoint, is_private
from kademlua.core.errors import BadArguments, KademluaError, NodeClosed, WireError
from kademlua.core.pending_calls import PendingCall
from kademlua.core.reasons import DropReason, Purpose
from kademlua.core.security.own_address import MIN_SUBNETS, ExternalAddressVotes, Reachability
from kademlua.core.security.rate_limit import KeyedRateLimiter, RateLimiter
from kademlua.core.security.subnets import subnet_of
from kademlua.core.wire import replies, requests
from kademlua.core.wire.packets import Request
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.call_options import CallOptions
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context

ReplyLater = Callable[[Request, Endpoint, bytes], None]

_ATTEMPT_TIMEOUT: Final = 6.0
"""Seconds until a dial-back counts as failed."""
_MAX_HELPERS: Final = 8
"""Contacts asked in one series of attempts."""
_RECHECK_REACHED: Final = 1_800.0
_RECHECK_UNREACHED: Final = 300.0
_RECHECK_UNDECIDED: Final = 60.0
"""Seconds until the next series of attempts: after success, as an unreachable client, and while the
result is unclear. The last one doubles each time, up to the first."""
_DIAL_BACK_RATE, _DIAL_BACK_BURST = 1.0, 10
"""Dial-backs for other nodes, per second and in one burst."""
_DIAL_BACK_RATE_PER_SUBNET, _DIAL_BACK_BURST_PER_SUBNET = 0.1, 3
"""The same for one subnet of askers, so that it leaves some to others."""
_MAX_ASKING_SUBNETS: Final = 2_048


class ReachabilityProber:
    """Tests the reachability of one node, and helps other nodes to test theirs."""

    __slots__ = (
        "_address_votes",
        "_attempt_started_at",
        "_became_reachable",
        "_client",
        "_context",
        "_dial_back_limiter",
        "_dial_back_subnet_limiter",
        "_helper_subnets",
        "_is_dial_promised",
        "_is_dial_received",
        "_liveliness",
        "_next_at",
        "_reachability",
        "_reply_later",
        "_status",
        "_undecided_delay",
        "_was_reached",
    )

    def __init__(
        self,
        context: Context,
        client: RpcClient,
        liveliness: LivelinessManager,
        reply_later: ReplyLater,
    ) -> None:
        self._context = context
        self._client = client
        self._liveliness = liveliness
        self._reply_later = reply_later
        self._status = context.status
        self._address_votes = ExternalAddressVotes()
        self._reachability = Reachability()
        self._dial_back_limiter = RateLimiter(_DIAL_BACK_RATE, _DIAL_BACK_BURST)
        self._dial_back_subnet_limiter = KeyedRateLimiter(
            _DIAL_BACK_RATE_PER_SUBNET, _DIAL_BACK_BURST_PER_SUBNET, _MAX_ASKING_SUBNETS
        )
        self._next_at = context.clock()
        self._undecided_delay = _RECHECK_UNDECIDED
        self._helper_subnets: list[bytes] = []
        """Subnets of the helpers in this series."""
        self._attempt_started_at: float | None = None
        """When the current attempt started; None if there is none."""
        self._is_dial_promised = self._is_dial_received = self._was_reached = False
        """Whether the helper promised a dial-back, whether it arrived, and whether one arrived in
        this series."""
        self._became_reachable = False

    # For this node

    def tick(self, now: float) -> bool:
        """Evaluate the last attempt, and start another if one is due. Does not block.

        Return whether this node was a client and became reachable since the last call.
        """
        self._run_attempts(now)
        became_reachable, self._became_reachable = self._became_reachable, False
        return became_reachable

    def _run_attempts(self, now: float) -> None:
        if self._context.read_only:  # a client is not reached by design
            return
        if self._attempt_started_at is not None:
            if now - self._attempt_started_at < _ATTEMPT_TIMEOUT:
                return
            self._attempt_started_at = None
            if self._is_dial_promised and not self._is_dial_received:
                self._reachability.record_failure()
                self._apply_verdict()
        if now < self._next_at:
            return
        helper = None
        if len(self._helper_subnets) < (MIN_SUBNETS if self._is_decided else _MAX_HELPERS):
            helper = self._pick_helper(self._helper_subnets)
        if helper is not None:
            self._query_helper(helper, now)
            return
        self._next_at = now + self._next_delay()
        self._helper_subnets.clear()
        self._was_reached = False

    def _next_delay(self) -> float:
        """Return the seconds until the next series of attempts."""
        if not self._helper_subnets:
            return _RECHECK_UNDECIDED
        if not self._is_decided:
            self._undecided_delay = min(2 * self._undecided_delay, _RECHECK_REACHED)
            return self._undecided_delay / 2
        self._undecided_delay = _RECHECK_UNDECIDED
        return _RECHECK_REACHED if self._was_reached else _RECHECK_UNREACHED

    @property
    def _is_decided(self) -> bool:
        """Whether this series needs no further attempt."""
        return self._was_reached or self._status.reachable is False

    def _pick_helper(
        self, excluded_subnets: list[bytes], requester: Contact | None = None
    ) -> Contact | None:
        """Return a random live contact outside these subnets.

        For a dial-back to ``requester``, it speaks 1.1 and has an address of the same family.
        """
        is_fresh, is_v10 = self._liveliness.is_fresh, self._liveliness.versions.is_v10
        found = [
            each
            for each in self._context.table
            if self._is_public(each)
            and (requester is None or each.is_ipv6 == requester.is_ipv6)
            and subnet_of(each.addr) not in excluded_subnets
            and is_fresh(each)
            and (requester is None or not is_v10(each))
        ]
        return self._context.rng.choice(found) if found else None

    def _is_public(self, contact: Contact) -> bool:
        """Return whether a contact is on the open internet: only such contacts take part."""
        return not (self._context.params.exempt_private and is_private(contact.address_bytes))

    def _query_helper(self, helper: Contact, now: float) -> None:
        self._helper_subnets.append(subnet_of(helper.addr))
        self._send(helper, "getsocket", b"", self._on_getsocket_reply)
        if not self._was_reached and not self._liveliness.versions.is_v10(helper):
            self._attempt_started_at = now
            self._is_dial_promised = self._is_dial_received = False
            self._send(
                helper, "reach", b"", self._on_reach_reply, 2 * self._context.params.rpc_timeout
            )

    def _send(
        self,
        contact: Contact,
        name: str,
        args: bytes,
        on_done: Callable[[PendingCall, list[Any] | KademluaError], None],
        timeout: float | None = None,
    ) -> PendingCall:
        request = self._client.encode(name, args)
        self._context.stats.calls_by_purpose[Purpose.REACH] += 1
        return self._client.send(contact.endpoint, contact, request, on_done, CallOptions(timeout))

    def _on_getsocket_reply(self, call: PendingCall, result: list[Any] | KademluaError) -> None:
        """Count a contact's vote on this node's external address."""
        if not isinstance(result, list):
            return
        now = self._context.clock()
        try:
            addr, port = replies.decode_getsocket_reply(result)
            self._address_votes.add(call.endpoint[0], addr, port, now)
        except WireError as error:
            self._client.count_malformed_reply(error)
        except ValueError:
            self._client.count_malformed_reply(WireError(DropReason.BAD_RESPONSE))
        address, previous = self._address_votes.consensus(now), self._status.external_address
        if address is not None and address != previous:
            self._status.external_address = address
            before = f", not at {format_endpoint(previous)} any more" if previous else ""
            self._context.log.info("seen at %s%s", format_endpoint(address), before)

    def _on_reach_reply(self, _: PendingCall, result: list[Any] | KademluaError) -> None:
        self._is_dial_promised = isinstance(result, list) and replies.decode_reach_reply(result)

    def handle_reached(self, request: Request, endpoint: Endpoint) -> bytes:
        """The RPC reached: its sender was asked to find out whether this node is reached."""
        if self._attempt_started_at is not None and not self._is_dial_received:
            self._is_dial_received = True
            # Who answered in the last ten minutes is verified: what opens a NAT went there.
            if request.permit.is_validated or self._context.table.get(request.sender_id):
                self._reachability.record_inconclusive()
            else:
                self._was_reached = True
                self._reachability.record_success()
            self._apply_verdict()
        return replies.REACHED_OK

    def _apply_verdict(self) -> None:
        """Act on a changed verdict."""
        verdict, status = self._reachability.is_reachable, self._status
        if verdict == status.reachable:
            return
        context = self._context
        status.reachable = verdict
        if verdict:
            context.log.info("peers can reach this node")
            self._became_reachable = status.is_client
            status.is_client = False
        elif not context.params.client_if_unreachable:
            context.log.warning("peers cannot reach this node (NAT or firewall?)")
        else:
            context.log.warning(
                "peers cannot reach this node (NAT or firewall?); it is a client until that changes"
            )
            status.is_client = True
            for contact in context.table:  # they learn it from the pings
                self._liveliness.probe(contact)

    # For other nodes

    def handle_reach(self, request: Request, endpoint: Endpoint) -> bytes | None:
        """Handle the RPC reach: arrange a dial-back to its sender, or make the one it names.

        It costs the named node a datagram that is shorter than the request.
        """
        now, subnet = self._context.clock(), subnet_of(endpoint[0])
        if not self._dial_back_subnet_limiter.try_acquire(
            subnet, now
        ) or not self._dial_back_limiter.try_acquire(now):
            return replies.encode_reach_reply(is_attempted=False)
        if request.args:
            return replies.encode_reach_reply(
                is_attempted=self._dial_back(request.args[0], request.sender_id, endpoint)
            )
        sender = self._context.sender_of(request, endpoint)
        helper = (
            self._pick_helper([subnet_of(sender.addr)], sender) if self._is_public(sender) else None
        )
        if helper is None:
            return replies.encode_reach_reply(is_attempted=False)

        def on_done(_: PendingCall, result: list[Any] | KademluaError) -> None:
            if not isinstance(result, NodeClosed):
                is_dialled = isinstance(result, list) and replies.decode_reach_reply(result)
                self._reply_later(
                    request, endpoint, replies.encode_reach_reply(is_attempted=is_dialled)
                )

        self._send(helper, "reach", requests.encode_reach_args(sender), on_done)
        return None

    def _dial_back(self, compact: object, requester_id: bytes, requester: Endpoint) -> bool:
        """Send one datagram to the node that is to be reached; return whether that was done."""
        try:
            contact = replies.decode_contact(compact, self._context.pool)
        except WireError as error:
            raise BadArguments(str(error)) from None
        # Never into a private network, nor back to the requester.
        if not self._is_public(contact) or not self._context.address_families.supports(
            is_ipv6=contact.is_ipv6
        ):
            return False
        if contact.id in (self._context.id, requester_id):
            return False
        if not self._client.gate.may_name(requester, contact):
            return False
        return not self._send(contact, "reached", b"", _ignore_reply).held_datagram


def _ignore_reply(_: PendingCall, result: list[Any] | KademluaError) -> None:
    """It is the other's affair whether he was reached."""
