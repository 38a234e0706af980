"""What a node does for its program: find nodes, find values, store values.

Each is a lookup whose next query goes out as soon as an answer comes in; the greenlet that
asked sleeps through it and is woken once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from gevent.event import AsyncResult

from kademlua.caller import Caller
from kademlua.context import Context
from kademlua.core import payloads
from kademlua.core.calls import Call
from kademlua.core.contact import Contact
from kademlua.core.errors import (
    KademluaError,
    NodeClosed,
    RpcTimeout,
    StoreFailed,
    StoreRefused,
    WireError,
)
from kademlua.core.estimate import SizeEstimate
from kademlua.core.ids import to_int
from kademlua.core.lookup import Lookup
from kademlua.liveliness import LivelinessManager

_TOLERANCE = 4
"""A query is over when its answer has taken so many times what makes it late."""

Reader = Callable[[Contact, list[Any]], list[Contact]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one node had to say to a ``find_value``."""

    contact: Contact
    """Who it was."""
    values: list[Any]
    """Its values of the key: int, bytes, list or dict with bytes as keys."""


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What became of a store at each of the nodes that should hold the value."""

    acknowledged: list[Contact] = field(default_factory=list)
    refused: list[tuple[Contact, str]] = field(default_factory=list)
    """Who would not take it, with the reason given."""
    silent: list[Contact] = field(default_factory=list)
    """Who did not answer in time."""


class Operations:
    """The lookups of one node and what is built from them."""

    def __init__(self, context: Context, caller: Caller, liveliness: LivelinessManager) -> None:
        self._context = context
        self._caller = caller
        self._liveliness = liveliness
        self._table = context.table
        self._store = context.store
        self._params = context.params
        self._clock = context.clock
        self.estimate = SizeEstimate()

    def find_node(self, target: bytes, seeds: Iterable[Contact] = ()) -> Lookup:
        """Look up the k closest live contacts; blocks this greenlet until it is done.

        ``seeds`` are contacts to begin with besides the routing table's. Raises NodeClosed
        and TooManyCalls.
        """

        def read(_: Contact, values: list[Any]) -> list[Contact]:
            return payloads.read_findnode(values, self._context.pool, self._context.reach)

        search = self._search(target, "findnode", payloads.args_key(target), read)
        search.run(seeds)
        self._took(target, search.lookup)
        return search.lookup

    def find_value(self, key: bytes, answers: int, per_node: int) -> list[Answer]:
        """The values of a key at up to ``answers`` nodes, up to ``per_node`` of each.

        Ends with as many answers as asked for; where there are fewer, when the k closest
        have said what they have.
        """
        found: list[Answer] = []
        local = self._store.get(key, per_node, self._clock())
        if local:
            found.append(
                Answer(self._context.contact, [payloads.decode_value(each) for each in local])
            )
            if answers <= 1:
                return found

        def read(contact: Contact, values: list[Any]) -> list[Contact]:
            retval = payloads.read_retval(values)
            if retval and len(found) < answers:
                found.append(Answer(contact, retval[:per_node]))
                if len(found) == answers:
                    search.lookup.stop()
                    return []
            return payloads.read_findnode(values, self._context.pool, self._context.reach)

        args = payloads.args_findvalue(key, per_node)
        search = self._search(key, "findvalue", args, read)
        search.run(())
        if len(found) < answers:
            self._took(key, search.lookup)
        return found

    def store(self, key: bytes, encoded: bytes, *, overwrite: bool) -> StoreReport:
        """Store a bencoded value on the ``replicas`` nodes closest to its key.

        This node is one of them where it is that close. Raises StoreFailed where nobody
        took it.
        """
        contacts = self.find_node(key).closest()
        report = StoreReport()
        holders = contacts[: self._params.replicas]
        if not self._context.read_only and self._is_holder(key, contacts):
            holders = contacts[: self._params.replicas - 1]
            self._store_here(key, encoded, overwrite, report)
        self._store_there(holders, key, encoded, overwrite, report)
        if not report.acknowledged:
            raise StoreFailed(_why_failed(report))
        return report

    def _is_holder(self, key: bytes, contacts: list[Contact]) -> bool:
        """Whether this node is among the ``replicas`` closest, given the others."""
        if len(contacts) < self._params.replicas:
            return True
        number = to_int(key)
        last = contacts[self._params.replicas - 1]
        return to_int(self._context.id) ^ number < last.number ^ number

    def _store_here(self, key: bytes, encoded: bytes, overwrite: bool, report: StoreReport) -> None:
        now = self._clock()
        expires = now + self._params.ttl
        own = self._context.contact
        try:
            self._store.put(key, own, encoded, now=now, expires=expires, overwrite=overwrite)
        except StoreRefused as refusal:
            report.refused.append((own, refusal.reason))
        else:
            report.acknowledged.append(own)

    def _store_there(
        self,
        holders: list[Contact],
        key: bytes,
        encoded: bytes,
        overwrite: bool,
        report: StoreReport,
    ) -> None:
        """Send the value to all holders at once and wait until each has said its word."""
        args = payloads.args_store(key, encoded, overwrite)
        ended: AsyncResult[None] = AsyncResult()
        left = len(holders)

        def done(call: Call, result: list[Any] | KademluaError) -> None:
            nonlocal left
            contact = call.contact
            assert contact is not None
            reason = _refusal(result)
            if reason is None:
                report.acknowledged.append(contact)
            elif isinstance(result, RpcTimeout):
                report.silent.append(contact)
                self._liveliness.unanswered(contact)
            else:
                report.refused.append((contact, reason))
            left -= 1
            if left == 0:
                ended.set(None)

        for holder in holders:
            self._caller.send(holder.endpoint, holder, "store", args, done)
        if left:
            ended.get()

    def network_size(self) -> int:
        """About how many nodes the network has, from what recent lookups met."""
        own, k = to_int(self._context.id), self._params.k
        known = [contact.number for contact in self._table.closest(self._context.id, k)]
        since = self._clock() - self._params.refresh_interval
        return self.estimate.nodes(own, known, k, since)

    def _search(self, target: bytes, name: str, args: bytes, read: Reader) -> _Search:
        return _Search(self._context, self._caller, self._liveliness, target, name, args, read)

    def _took(self, target: bytes, lookup: Lookup) -> None:
        """A lookup went all the way: its bucket is fresh, its result tells of the size."""
        now = self._clock()
        self._table.looked_up(target, now)
        closest = lookup.closest()
        if len(closest) == self._params.k:
            self.estimate.sample(now, to_int(target), [contact.number for contact in closest])


class _Search:
    """One lookup on the wire: its queries are calls of one RPC, read by one function."""

    def __init__(
        self,
        context: Context,
        caller: Caller,
        liveliness: LivelinessManager,
        target: bytes,
        name: str,
        args: bytes,
        read: Reader,
    ) -> None:
        params = context.params
        self._table = context.table
        self._caller = caller
        self._liveliness = liveliness
        self._target = target
        self._k = params.k
        self._rpc_timeout = params.rpc_timeout
        self._name = name
        self._args = args
        self._read = read
        self._error: Exception | None = None
        self._ended: AsyncResult[None] = AsyncResult()
        self.lookup = Lookup(
            target,
            own_id=self._table.own_id,
            k=params.k,
            alpha=params.alpha,
            ask=self._ask,
            finished=self._ended.set,
        )

    def run(self, seeds: Iterable[Contact]) -> None:
        """Do it, blocking this greenlet; raises what made it impossible."""
        self.lookup.start([*seeds, *self._table.closest(self._target, self._k)])
        try:
            self._ended.get()
        finally:
            self.lookup.stop()  # where the greenlet was killed or timed out: ask no further
        if self._error is not None:
            raise self._error

    def _ask(self, contact: Contact) -> None:
        patience = self._liveliness.patience(contact)
        try:
            self._caller.send(
                contact.endpoint,
                contact,
                self._name,
                self._args,
                self._done,
                timeout=min(_TOLERANCE * patience, self._rpc_timeout),
                late=self._late,
                patience=patience,
            )
        except KademluaError as error:
            self._give_up(error)

    def _done(self, call: Call, result: list[Any] | KademluaError) -> None:
        contact = call.contact
        assert contact is not None
        if isinstance(result, list):
            try:
                self.lookup.answered(contact, self._read(contact, result))
            except WireError:
                self._caller.note_bad_answer()
                self.lookup.failed(contact)
            except Exception as error:  # a defect: whoever waits is to learn of it
                self._give_up(error)
            return
        if isinstance(result, RpcTimeout):
            self._liveliness.unanswered(contact)
        elif isinstance(result, NodeClosed):
            self._give_up(result)
        self.lookup.failed(contact)

    def _late(self, call: Call) -> None:
        assert call.contact is not None
        self.lookup.late(call.contact)

    def _give_up(self, error: Exception) -> None:
        self._error = error
        self.lookup.stop()


def _refusal(result: list[Any] | KademluaError) -> str | None:
    """Why a store was not acknowledged; None where it was."""
    if isinstance(result, KademluaError):
        return str(result)
    try:
        return payloads.read_store(result)
    except WireError as error:
        return str(error)


def _why_failed(report: StoreReport) -> str:
    reasons = sorted({reason for _, reason in report.refused})
    parts = [f"{len(report.refused)} refused ({'; '.join(reasons)})"] if reasons else []
    if report.silent:
        parts.append(f"{len(report.silent)} did not answer")
    return "no node took the value: " + (", ".join(parts) or "none was found")
