"""One lookup on the wire: its queries are calls of one RPC, read by one function.

The next query goes out as soon as an answer comes in; the greenlet that asked sleeps through
it all and is woken once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gevent.event import AsyncResult

from kademlua.caller import Caller
from kademlua.context import Context
from kademlua.core.calls import Call
from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError, NodeClosed, RpcTimeout, WireError
from kademlua.core.lookup import Lookup
from kademlua.core.paths import Paths
from kademlua.liveliness import LivelinessManager

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
        k: int | None = None,
        alpha: int | None = None,
        is_sparing: bool = False,
        until: Callable[[Lookup], bool] | None = None,
        paths: int = 1,
    ) -> None:
        """``k``, ``alpha``, ``is_sparing`` and ``until`` are those of ``Lookup``, the first two
        by default of ``Params``. On several disjoint ``paths`` there is no ``until``."""
        params = context.params
        k = k or params.k
        self._table = context.table
        self._caller = caller
        self._liveliness = liveliness
        self._target = target
        self._known = max(params.k, k)
        self._question = caller.question(name, args)
        self._read = read
        self._error: Exception | None = None
        self._ended: AsyncResult[None] = AsyncResult()
        how: dict[str, Any] = {
            "own_id": self._table.own_id,
            "k": k,
            "alpha": alpha or params.alpha,
            "ask": self._ask,
            "finished": self._ended.set,
            "is_sparing": is_sparing,
            "limits": context.limits,
            "spread": self._table.spread,
        }
        self.lookup: Lookup | Paths
        if paths == 1:
            self.lookup = Lookup(target, until=until, **how)
        else:
            self.lookup = Paths(paths, target, **how)

    def run(self, seeds: Iterable[Contact]) -> None:
        """Do it, blocking this greenlet; raises what made it impossible."""
        self.start(seeds)
        self.wait()

    def start(self, seeds: Iterable[Contact] = ()) -> None:
        """Send the first queries, to the nearest of these and of the table's contacts."""
        self.lookup.start(self._living([*seeds, *self._table.closest(self._target, self._known)]))

    def wait(self) -> None:
        """Block this greenlet until the end; raises what made the lookup impossible."""
        try:
            self._ended.get()
        finally:
            self.lookup.stop()  # where the greenlet was killed or timed out: ask no further
            del self._read  # it may well hold this search
        if self._error is not None:
            raise self._error

    def _ask(self, contact: Contact) -> None:
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
            )
        except KademluaError as error:
            self._give_up(error)

    def _done(self, call: Call, result: list[Any] | KademluaError) -> None:
        contact = call.contact
        assert contact is not None
        if isinstance(result, list):
            if self.lookup.done:
                return
            try:
                self.lookup.answered(contact, self._living(self._read(contact, result)))
            except WireError as error:
                self._caller.note_bad_answer(error)
                self.lookup.failed(contact)
            except Exception as error:  # a defect: whoever waits is to learn of it
                self._give_up(error)
            return
        if isinstance(result, RpcTimeout):
            self._liveliness.unanswered(contact)
        elif isinstance(result, NodeClosed):
            self._give_up(result)
        self.lookup.failed(contact)

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

    def _give_up(self, error: Exception) -> None:
        self._error = error
        self.lookup.stop()
