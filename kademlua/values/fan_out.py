"""Placement: one value on its way to those who are to hold it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gevent.event import AsyncResult

from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError, NodeClosed, RpcTimeout, TooManyCalls, WireError
from kademlua.core.pending_calls import Call
from kademlua.core.results import StoreReport
from kademlua.core.wire import replies
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.client import Caller, Question


class Placement:
    """Sends one store, or remove, to all holders at once; who is silent is replaced by the
    next nearest."""

    def __init__(
        self,
        caller: Caller,
        liveliness: LivelinessManager,
        question: Question,
        report: StoreReport,
        read: Callable[[list[Any]], str | None] = replies.read_store,
        shown: Mapping[Contact, Question] | None = None,
    ) -> None:
        """What becomes of it goes into ``report``; ``read`` says why an answer is a refusal,
        or None. ``shown`` are the questions to those who gave a token, with it."""
        self._read = read
        self._shown = shown or {}
        self._caller = caller
        self._liveliness = liveliness
        self._question = question
        self._report = report
        self._spares: list[Contact] = []
        self._left = 0
        self.sent = 0
        """Nodes that were told."""
        self._ended: AsyncResult[None] = AsyncResult()

    def run(self, holders: list[Contact], spares: list[Contact]) -> None:
        """Block this greenlet until each has said its word or counts as silent; NodeClosed."""
        self._spares = spares[::-1]
        for holder in holders:
            self._send(holder)
        if self._left:
            self._ended.get()

    def _send(self, holder: Contact) -> None:
        patience = self._liveliness.patience.with_contact(holder)
        question = self._shown.get(holder)
        if question is None:
            question = self._question
            if not self._liveliness.is_known_by(holder):
                patience *= 2  # it may want to ping us before it answers
        try:
            self._caller.send(
                holder.endpoint,
                holder,
                question,
                self._done,
                timeout=self._liveliness.patience.until_over(patience),
                late=_wait_on,
                patience=patience,
            )
        except TooManyCalls as error:  # the others are on their way
            self._report.refused.append((holder, str(error)))
        else:
            self._left += 1
            self.sent += 1

    def _done(self, call: Call, result: list[Any] | KademluaError) -> None:
        contact = call.contact
        assert contact is not None
        self._left -= 1
        if isinstance(result, NodeClosed):
            self._ended.set_exception(result)
            return
        if isinstance(result, RpcTimeout):
            self._report.silent.append(contact)
            self._liveliness.unanswered(contact)
            if self._spares:
                self._send(self._spares.pop())
        else:
            reason = self._refusal(result)
            if reason is None:
                self._report.acknowledged.append(contact)
            else:
                self._report.refused.append((contact, reason))
        if self._left == 0:
            self._ended.set(None)

    def _refusal(self, result: list[Any] | KademluaError) -> str | None:
        """Why a store was not acknowledged; None where it was."""
        if isinstance(result, KademluaError):
            return str(result)
        try:
            return self._read(result)
        except WireError as error:
            self._caller.note_bad_answer(error)
            return str(error)


def _wait_on(_: Call) -> None:
    """A store is sent once more when its answer is late; a third would be too much."""
