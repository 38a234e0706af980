"""What a node does for its program: find nodes, find values, store values.

Each is a lookup whose next query goes out as soon as an answer comes in; the greenlet that
asked sleeps through it and is woken once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    TooManyCalls,
    WireError,
)
from kademlua.core.estimate import SizeEstimate
from kademlua.core.ids import to_int
from kademlua.core.lookup import Lookup
from kademlua.liveliness import LivelinessManager
from kademlua.search import Reader, Search


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

    def find_node(
        self, target: bytes, seeds: Iterable[Contact] = (), count: int | None = None
    ) -> Lookup:
        """Look up the closest live contacts; blocks this greenlet until it is done.

        ``seeds`` are contacts to begin with besides the routing table's; ``count`` is how many
        to find, by default ``Params.k``. Raises NodeClosed and TooManyCalls.
        """
        args = payloads.args_key(target)
        search = self._search(target, "findnode", args, self._read_contacts, k=count)
        search.run(seeds)
        self._took(target, search.lookup)
        return search.lookup

    def find_some(self, wanted: Sequence[tuple[bytes, Callable[[], bool]]]) -> None:
        """Look up several targets at once, each with one query at a time and only until its
        function says that enough have answered; blocks and raises as ``find_node`` does."""
        searches = []
        for target, are_enough in wanted:
            searches.append((target, self._search_some(target, are_enough)))
        for target, search in searches:
            search.wait()
            self._sample(target, search.lookup)

    def _search_some(self, target: bytes, are_enough: Callable[[], bool]) -> Search:
        def read(contact: Contact, values: list[Any]) -> list[Contact]:
            if are_enough():
                search.lookup.stop()
            return self._read_contacts(contact, values)

        search = self._search(target, "findnode", payloads.args_key(target), read, alpha=1)
        search.lookup.narrow(1)
        search.start()
        return search

    def _read_contacts(self, _: Contact, values: list[Any]) -> list[Contact]:
        return payloads.read_findnode(values, self._context.pool, self._context.reach)

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
                search.lookup.narrow(answers - len(found))
                if len(found) == answers:
                    search.lookup.stop()
                    return []
            return payloads.read_findnode(values, self._context.pool, self._context.reach)

        args = payloads.args_findvalue(key, per_node)
        # One more in flight than answers are wanted: more than these seldom pay.
        alpha = min(self._params.alpha, answers - len(found) + 1)
        search = self._search(key, "findvalue", args, read, alpha=alpha, is_sparing=True)
        search.run(())
        if len(found) < answers:
            self._took(key, search.lookup)
        return found

    def store(self, key: bytes, encoded: bytes, *, overwrite: bool) -> StoreReport:
        """Store a bencoded value on the ``replicas`` nodes closest to its key.

        This node is one of them where it is that close. Raises StoreFailed where nobody
        took it.
        """
        contacts = self.find_node(key, count=self._params.replicas).closest()
        report = StoreReport()
        holders = contacts
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
        question = self._caller.question("store", payloads.args_store(key, encoded, overwrite))
        ended: AsyncResult[None] = AsyncResult()
        left = len(holders)

        def done(call: Call, result: list[Any] | KademluaError) -> None:
            nonlocal left
            contact = call.contact
            assert contact is not None
            if isinstance(result, NodeClosed):
                ended.set_exception(result)
                return
            reason = self._refusal(result)
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
            try:
                self._caller.send(holder.endpoint, holder, question, done)
            except TooManyCalls as error:  # the others are on their way
                report.refused.append((holder, str(error)))
                left -= 1
        if left:
            ended.get()

    def _refusal(self, result: list[Any] | KademluaError) -> str | None:
        """Why a store was not acknowledged; None where it was."""
        if isinstance(result, KademluaError):
            return str(result)
        try:
            return payloads.read_store(result)
        except WireError as error:
            self._caller.note_bad_answer(error)
            return str(error)

    def network_size(self) -> int:
        """About how many nodes the network has, from what recent lookups met."""
        own, k = to_int(self._context.id), self._params.k
        known = [contact.number for contact in self._table.closest(self._context.id, k)]
        if self._context.read_only and len(self.estimate):
            known = []  # a client does not know its neighbours
        since = self._clock() - self._params.refresh_interval
        return self.estimate.nodes(own, known, k, since)

    def _search(self, target: bytes, name: str, args: bytes, read: Reader, **how: Any) -> Search:
        return Search(
            self._context, self._caller, self._liveliness, target, name, args, read, **how
        )

    def _took(self, target: bytes, lookup: Lookup) -> None:
        """A lookup went all the way: its bucket is fresh, its result tells of the size."""
        if lookup.k >= self._params.k:  # a narrower one does not meet the whole bucket
            self._table.looked_up(target, self._clock())
        self._sample(target, lookup)

    def _sample(self, target: bytes, lookup: Lookup) -> None:
        # The neighbours themselves count once already, as they stand in the table.
        if target != self._context.id:
            known = lookup.known(self._params.k)
            if len(known) == self._params.k:
                numbers = [contact.number for contact in known]
                self.estimate.sample(self._clock(), to_int(target), numbers)


def _why_failed(report: StoreReport) -> str:
    reasons = sorted({reason for _, reason in report.refused})
    parts = [f"{len(report.refused)} refused ({'; '.join(reasons)})"] if reasons else []
    if report.silent:
        parts.append(f"{len(report.silent)} did not answer")
    return "no node took the value: " + (", ".join(parts) or "none was found")
