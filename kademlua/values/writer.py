"""What a node writes into the network: it stores on those nearest to a key, and removes."""

from __future__ import annotations

from gevent.event import AsyncResult

from kademlua.core.contact import Contact
from kademlua.core.errors import RecordRefused, StoreFailed, StoreRefused
from kademlua.core.ids import to_int
from kademlua.core.reasons import Purpose
from kademlua.core.results import StoreReport
from kademlua.core.values.tombstones import Tombstones
from kademlua.core.wire import replies, requests
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.service import Operations
from kademlua.rpc.client import Caller, Question
from kademlua.runtime.context import Context
from kademlua.values.admission import Keeping, remove
from kademlua.values.fan_out import Placement


class Storing:
    """The stores of one node, and their opposite."""

    def __init__(
        self,
        context: Context,
        caller: Caller,
        liveliness: LivelinessManager,
        operations: Operations,
        tombstones: Tombstones,
    ) -> None:
        self._context = context
        self._caller = caller
        self._liveliness = liveliness
        self._operations = operations
        self._tombstones = tombstones
        self._store = context.store
        self._keeping = Keeping(context)
        self._params = context.params
        self._clock = context.clock

    def store(
        self,
        key: bytes,
        encoded: bytes,
        ttl: int,
        *,
        overwrite: bool = False,
        swaps: int | None = None,
        cause: Purpose = Purpose.STORE,
    ) -> StoreReport:
        """Store a bencoded value on the ``replicas`` nodes closest to its key, for so many
        seconds; with ``swaps``, in place of the signed record of that sequence number.

        This node is one of them where it is that close. Raises StoreFailed where fewer than
        ``write_quorum`` took it.
        """
        replicas = self._params.replicas
        # The nearest know who the farther ones are. To ask these costs as much as that they
        # ping us before they take the value, and some know us already.
        count, paths = (2 * replicas + 4) // 5, self._params.paths
        search = self._operations.search_nodes(key, count=count, paths=paths, cause=cause)
        candidates = search.lookup.known(2 * replicas)
        report = StoreReport()
        wanted = replicas
        if not self._context.is_client and self._is_holder(key, candidates):
            wanted -= 1
            self._store_here(key, encoded, ttl, overwrite, swaps, report)

        def question(token: bytes) -> Question:
            args = requests.args_store(key, encoded, overwrite, ttl, swaps=swaps, token=token)
            return self._caller.question("store", args)

        placement = Placement(
            self._caller,
            self._liveliness,
            question(b""),
            report,
            shown={contact: question(token) for contact, token in search.tokens.items()},
        )
        placement.run(candidates[:wanted], candidates[wanted:])
        self._context.stats.caused[cause] += placement.sent
        if len(report.acknowledged) < self._params.write_quorum:
            raise StoreFailed(report.why_failed(), report)
        return report

    def remove(self, key: bytes, ttl: int) -> StoreReport:
        """Take this node's value of a key away from all who may hold it.

        Twice as many are told as should hold it: some may not have let go yet. Raises
        StoreFailed where nobody answered.
        """
        search = self._operations.search_nodes(key, cause=Purpose.REMOVE)
        found = search.lookup.known(2 * self._params.replicas)
        report = StoreReport()
        own = self._context.contact
        if remove(self._store, self._tombstones, key, own, self._clock() + ttl):
            report.acknowledged.append(own)
        question = self._caller.question("remove", requests.args_remove(key, ttl))
        shown = {
            contact: self._caller.question("remove", requests.args_remove(key, ttl, token))
            for contact, token in search.tokens.items()
        }
        placement = Placement(
            self._caller, self._liveliness, question, report, replies.read_remove, shown
        )
        placement.run(found, [])
        self._context.stats.caused[Purpose.REMOVE] += placement.sent
        if found and not report.acknowledged:
            raise StoreFailed(report.why_failed("removed the value"), report)
        return report

    def _is_holder(self, key: bytes, candidates: list[Contact]) -> bool:
        """Whether this node is among the ``replicas`` closest, given the others."""
        if len(candidates) < self._params.replicas:
            return True
        number = to_int(key)
        last = candidates[self._params.replicas - 1]
        return to_int(self._context.id) ^ number < last.number ^ number

    def _store_here(
        self,
        key: bytes,
        encoded: bytes,
        ttl: int,
        overwrite: bool,
        swaps: int | None,
        report: StoreReport,
    ) -> None:
        now = self._clock()
        expires = now + ttl
        own = self._context.contact
        self._tombstones.lift(key, own)
        try:
            self._keeping.put(
                key, own, encoded, now=now, expires=expires, overwrite=overwrite, swaps=swaps
            )
            if self._context.observers.all:
                self._context.observers.value_stored(key, own, len(encoded))
            self._await_kept()
        except (StoreRefused, RecordRefused) as refusal:
            report.refused.append((own, refusal.reason))
        else:
            report.acknowledged.append(own)

    def _await_kept(self) -> None:
        """Block this greenlet until the own store has on disk what it took; StoreRefused."""
        if self._store.is_durable:
            said: AsyncResult[str | None] = AsyncResult()
            self._store.kept(said.set)
            reason = said.get()
            if reason is not None:
                raise StoreRefused(reason)
