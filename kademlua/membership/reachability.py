"""Reach: what others see of this node. At which address, and whether it is reached unasked.

A node asks a contact (B), which asks another one (C), which sends it a datagram: where that
comes from somebody to whom nothing was sent for ten minutes, no NAT is in the way. (STUN, RFC
5389, and AutoNAT of libp2p ask in a similar manner.) A node that is not reached becomes a client:
as a contact it would cost all others their time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kademlua.core.contact import Contact, Endpoint, format_endpoint, is_private
from kademlua.core.errors import KademluaError, NodeClosed, RpcRefused, WireError
from kademlua.core.pending_calls import Call
from kademlua.core.reasons import DropReason, Purpose
from kademlua.core.security.own_address import NETWORKS, OwnAddress, Reachability
from kademlua.core.security.rate_limit import TokenBucket
from kademlua.core.security.subnets import network_of
from kademlua.core.wire import replies, requests
from kademlua.core.wire.packets import Request
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.client import Caller
from kademlua.runtime.context import Context

AnswerLater = Callable[[Request, Endpoint, bytes], None]

_WAIT = 6.0
"""Seconds in which an attempt has come or failed."""
_STEPS = 8
"""Contacts asked in a row, at most."""
_REACHED = 1_800.0
_UNREACHED = 300.0
_UNDECIDED = 60.0
"""Seconds until others are asked again: where this node was reached, where it is a client since
it was not, and where it is not clear; the last doubles each time, up to the first."""
_RATE, _BURST = 1.0, 10
"""Attempts made for others in a second, and at once."""


class Reach:
    """Learns how one node stands, by a few packets now and then; and helps others to learn it."""

    __slots__ = (
        "_answer_later",
        "_asked",
        "_asked_at",
        "_attempts",
        "_began",
        "_caller",
        "_came",
        "_context",
        "_is_promised",
        "_liveliness",
        "_next_at",
        "_reachability",
        "_standing",
        "_undecided",
        "_votes",
        "_was_reached",
        "has_returned",
    )

    def __init__(
        self,
        context: Context,
        caller: Caller,
        liveliness: LivelinessManager,
        answer_later: AnswerLater,
    ) -> None:
        self._context = context
        self._caller = caller
        self._liveliness = liveliness
        self._answer_later = answer_later
        self._standing = context.standing
        self._votes = OwnAddress()
        self._reachability = Reachability()
        self._attempts = TokenBucket(_RATE, _BURST)
        self._next_at = context.clock()
        self._undecided = _UNDECIDED
        self._asked: list[str | bytes] = []
        """The networks of those that were asked in this row."""
        self._asked_at: float | None = None
        """When an attempt was asked for of which it is not clear yet what came."""
        self._is_promised = self._came = self._was_reached = False
        """Whether one said that it is made; whether it came; whether one of this row came
        unasked."""
        self.has_returned = False
        """Whether it was a client and is none any more; whoever asks after it clears it."""

    # For this node.

    def look_after(self, now: float) -> None:
        """See what came of the last attempt, and ask for another where one is due. Does not
        block."""
        if self._context.read_only:  # nobody is to reach it
            return
        if self._asked_at is not None:
            if now - self._asked_at < _WAIT:
                return
            self._asked_at = None
            if self._is_promised and not self._came:
                self._reachability.failed()
                self._judge()
        if now < self._next_at:
            return
        helper = None
        if len(self._asked) < (NETWORKS if self._is_settled else _STEPS):
            helper = self._pick(self._asked)
        if helper is not None:
            self._ask(helper, now)
            return
        self._next_at = now + self._rest()
        self._asked.clear()
        self._was_reached = False

    def _rest(self) -> float:
        """How long to let others alone after a row of attempts."""
        if not self._asked:
            return _UNDECIDED
        if not self._is_settled:
            self._undecided = min(2 * self._undecided, _REACHED)
            return self._undecided / 2
        self._undecided = _UNDECIDED
        return _REACHED if self._was_reached else _UNREACHED

    @property
    def _is_settled(self) -> bool:
        """Whether this row of attempts needs no further ones."""
        return self._was_reached or self._standing.reachable is False

    def _pick(self, passed: list[str | bytes], like: Contact | None = None) -> Contact | None:
        """Any contact that lives and is not of these networks; to reach ``like``, one that
        speaks 1.1 and has an address of the same family."""
        is_fresh, is_original = self._liveliness.is_fresh, self._liveliness.is_original
        found = [
            each
            for each in self._context.table
            if self._is_open(each)
            and (like is None or each.is_ipv6 == like.is_ipv6)
            and network_of(each.addr) not in passed
            and is_fresh(each)
            and (like is None or not is_original(each))
        ]
        return self._context.rng.choice(found) if found else None

    def _is_open(self, contact: Contact) -> bool:
        """Whether it stands on the open internet: of others nothing is asked or told here."""
        return not (self._context.params.private_apart and is_private(contact.raw))

    def _ask(self, helper: Contact, now: float) -> None:
        self._asked.append(network_of(helper.addr))
        self._send(helper, "getsocket", b"", self._seen)
        if not self._was_reached and not self._liveliness.is_original(helper):
            self._asked_at = now
            self._is_promised = self._came = False
            self._send(helper, "reach", b"", self._promised, 2 * self._context.params.rpc_timeout)

    def _send(
        self,
        to: Contact,
        name: str,
        args: bytes,
        done: Callable[[Call, list[Any] | KademluaError], None],
        timeout: float | None = None,
    ) -> None:
        self._caller.send(to.endpoint, to, self._caller.question(name, args), done, timeout=timeout)
        self._context.stats.caused[Purpose.REACH] += 1

    def _seen(self, call: Call, result: list[Any] | KademluaError) -> None:
        """A contact told at which address it sees this node."""
        if not isinstance(result, list):
            return
        now = self._context.clock()
        try:
            addr, port = replies.read_getsocket(result)
            self._votes.vote(call.endpoint[0], addr, port, now)
        except WireError as error:
            self._caller.note_bad_answer(error)
        except ValueError:
            self._caller.note_bad_answer(WireError(DropReason.BAD_RESPONSE))
        address, former = self._votes.elected(now), self._standing.address
        if address is not None and address != former:
            self._standing.address = address
            before = f", not at {format_endpoint(former)} any more" if former else ""
            self._context.log.info("seen at %s%s", format_endpoint(address), before)

    def _promised(self, _: Call, result: list[Any] | KademluaError) -> None:
        self._is_promised = isinstance(result, list) and replies.read_reach(result)

    def reached(self, request: Request, endpoint: Endpoint) -> bytes:
        """The RPC reached: its sender was asked to find out whether this node is reached."""
        if self._asked_at is not None and not self._came:
            self._came = True
            # Who answered in the last ten minutes is verified: what opens a NAT went there.
            if request.is_validated or self._context.table.get(request.sender_id):
                self._reachability.is_undecided()
            else:
                self._was_reached = True
                self._reachability.was_reached()
            self._judge()
        return replies.REACHED

    def _judge(self) -> None:
        """Act on a verdict that is new."""
        verdict, standing = self._reachability.verdict, self._standing
        if verdict == standing.reachable:
            return
        context = self._context
        standing.reachable = verdict
        if verdict:
            context.log.info("others reach this node")
            self.has_returned = standing.is_client
            standing.is_client = False
        elif not context.params.client_if_unreachable:
            context.log.warning("nobody reaches this node unasked (NAT, firewall?)")
        else:
            context.log.warning(
                "nobody reaches this node unasked (NAT, firewall?): a client until that changes"
            )
            standing.is_client = True
            for contact in context.table:  # they hear it from the pings
                self._liveliness.probe(contact)

    # For others.

    def reach(self, request: Request, endpoint: Endpoint) -> bytes | None:
        """The RPC reach: have its sender reached by another, or reach the one that it names.

        Costs the one to be reached a datagram that is shorter than what was sent here.
        """
        if not self._attempts.take(self._context.clock()):
            return replies.reach_reply(False)
        if request.args:
            return replies.reach_reply(self._go(request.args[0], request.sender_id))
        sender = self._context.sender(request.sender_id, endpoint)
        other = self._pick([network_of(sender.addr)], sender) if self._is_open(sender) else None
        if other is None:
            return replies.reach_reply(False)

        def done(_: Call, result: list[Any] | KademluaError) -> None:
            if not isinstance(result, NodeClosed):
                is_made = isinstance(result, list) and replies.read_reach(result)
                self._answer_later(request, endpoint, replies.reach_reply(is_made))

        self._send(other, "reach", requests.args_reach(sender), done)
        return None

    def _go(self, packed: object, for_whom: bytes) -> bool:
        """Send one datagram to who is to be reached; whether that was done."""
        try:
            contact = replies.read_contact(packed, self._context.pool)
        except WireError as error:
            raise RpcRefused(str(error)) from None
        # Never into a network that only this node sees, nor to whoever asks.
        if not self._is_open(contact) or not self._context.reach[contact.is_ipv6]:
            return False
        if contact.id in (self._context.id, for_whom):
            return False
        self._send(contact, "reached", b"", _ignore)
        return True


def _ignore(_: Call, result: list[Any] | KademluaError) -> None:
    """It is the other's affair whether he was reached."""
