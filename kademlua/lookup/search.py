"""One lookup on the wire: its queries are calls of one RPC, read by one function.

The next query goes out as soon as an answer comes in; the greenlet that asked sleeps through
it all and is woken once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gevent.event import AsyncResult

from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError, NodeClosed, RpcTimeout, WireError
from kademlua.core.lookup.disjoint_paths import Paths
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.pending_calls import Call
from kademlua.core.reasons import Purpose
from kademlua.core.wire import replies
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.client import Caller
from kademlua.runtime.context import Context
from kademlua.runtime.observers import WatchedLookup

PADDED = 240
"""Bytes of a question to one who may not know our address: enough for k contacts in answer."""
PADDED_V6 = 304
Reader = Callable[[Contact, list[Any]], list[Contact]]
"""Given who answered and what, returns the contacts in the answer; or raises WireError."""


class Search:
    """A lookup of ``target`` by the RPC ``name`` with ``args`` (bencoded, in a row)."""

    def __init__(
        self,
        context: Context,
        caller: Caller,
        liveliness: LivelinessManager,
        target: bytes,
        name: str,
        args: bytes,
        read: Reader,
        *,
        cause: Purpose,
        k: int | None = None,
        alpha: int | None = None,
        is_sparing: bool = False,
        until: Callable[[Lookup], bool] | None = None,
        paths: int = 1,
    ) -> None:
        """``cause`` is one of ``Stats.caused``. ``k``, ``alpha``, ``is_sparing`` and ``until`` are
        those of ``Lookup``, the first two by default of ``Params``. On several disjoint
        ``paths`` there is no ``until``."""
        params = context.params
        k = k or params.k
        self._table = context.table
        self._stats = context.stats
        self._cause = cause
        self._clock = context.clock
        self._timings = context.observers.timings
        self._caller = caller
        self._liveliness = liveliness
        self._target = target
        self._known = max(params.k, k)
        self._question = caller.question(name, args)
        self.tokens: dict[Contact, bytes] = {}
        """The tokens in the answers, by who gave them."""
        self._read = read
        self._error: Exception | None = None
        self._ended: AsyncResult[None] = AsyncResult()
        self._watched: WatchedLookup | None = None
        if context.observers.all:
            self._watched = context.observers.watching(context.clock, name, target, cause)
        how: dict[str, Any] = {
            "own_id": self._table.own_id,
            "k": k,
            "alpha": alpha or params.alpha,
            "ask": self._ask,
            "finished": self._ended.set if self._watched is None else self._end_watched,
            "is_sparing": is_sparing,
            "limits": context.limits,
            "spread": self._table.spread,
            "others": self._others,
        }
        self.lookup: Lookup | Paths
        if paths == 1:
            self.lookup = Lookup(target, until=until, **how)
        else:
            self.lookup = Paths(paths, target, **how)

    def run(self, seeds: Iterable[Contact]) -> None:
        """Do it, blocking this greenlet; raises what made it impossible."""
        timings = self._timings
        if timings is None:
            self.start(seeds)
            self.wait()
        else:
            began = self._clock()
            self.start(seeds)
            self.wait()
            timings.lookup(self._question.name, self._clock() - began, self.lookup.queries)

    def start(self, seeds: Iterable[Contact] = ()) -> None:
        """Send the first queries, to the nearest of these and of the table's contacts."""
        known = self._living([*seeds, *self._table.closest(self._target, self._known)])
        if self._watched is not None:
            self._watched.seeded(known)
        self.lookup.start(known)

    def wait(self) -> None:
        """Block this greenlet until the end; raises what made the lookup impossible."""
        try:
            self._ended.get()
        finally:
            self.lookup.stop()  # where the greenlet was killed or timed out: ask no further
            self._stats.caused[self._cause] += self.lookup.queries
            del self._read  # it may well hold this search
        if self._error is not None:
            raise self._error

    def _others(self) -> list[Contact]:
        """Contacts of the table beyond those with which it began."""
        return self._living(self._table.closest(self._target, 3 * self._known)[self._known :])

    def _ask(self, contact: Contact) -> None:
        if self._watched is not None:
            self._watched.queried(contact)
        patience = self._liveliness.patience.with_contact(contact)
        try:
            self._caller.send(
                contact.endpoint,
                contact,
                self._question,
                self._done,
                timeout=self._liveliness.patience.until_over(patience),
                late=self._late,
                patience=patience,
                least=self._least(contact),
            )
        except KademluaError as error:
            self._give_up(error)

    def _least(self, contact: Contact) -> int:
        if self._liveliness.is_known_by(contact):
            return 0
        return PADDED_V6 if contact.is_ipv6 else PADDED

    def _done(self, call: Call, result: list[Any] | KademluaError) -> None:
        contact = call.contact
        assert contact is not None
        if isinstance(result, list):
            if self.lookup.done:
                return
            try:
                if self._watched is not None:
                    self._watched.answering(contact)
                told = self._living(self._read(contact, result))
                if self._watched is not None:
                    self._watched.answered(told)
                if token := replies.read_token(result):
                    self.tokens[contact] = token
                self.lookup.answered(contact, told)
            except WireError as error:
                self._caller.note_bad_answer(error)
                self._failed(contact)
            except Exception as error:  # a defect: whoever waits is to learn of it
                self._give_up(error)
            return
        if isinstance(result, RpcTimeout):
            self._liveliness.unanswered(contact)
        elif isinstance(result, NodeClosed):
            self._give_up(result)
        self._failed(contact)

    def _living(self, contacts: list[Contact]) -> list[Contact]:
        """Contacts without those that were found dead lately."""
        if not self._liveliness.knows_dead:
            return contacts
        is_dead = self._liveliness.is_dead
        return [contact for contact in contacts if not is_dead(contact)]

    def _late(self, call: Call) -> None:
        assert call.contact is not None
        self._liveliness.patience.late()
        self.lookup.late(call.contact)

    def _failed(self, contact: Contact) -> None:
        if self._watched is not None and not self.lookup.done:
            self._watched.failed(contact)
        self.lookup.failed(contact)

    def _end_watched(self) -> None:
        assert self._watched is not None
        self._watched.ended(self.lookup.queries)
        self._ended.set()

    def _give_up(self, error: Exception) -> None:
        self._error = error
        self.lookup.stop()
