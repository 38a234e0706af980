"""Job: one store of many values, as those who do the work see it."""

from __future__ import annotations

from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.reasons import Purpose
from kademlua.core.wire.replies import Refusal
from kademlua.values.bulk.tally import Tally
from kademlua.values.pacing import UpkeepPacer

_MAX_REFUSED: Final = 8
"""Requests that a holder refuses in a row before it gets no more. Some refuse large values only."""


class Job:
    """Why values are stored, what that costs so far, how fast it may be, and who refuses them."""

    __slots__ = ("_pacer", "_refused", "purpose", "tally")

    def __init__(self, purpose: Purpose, tally: Tally, pacer: UpkeepPacer | None) -> None:
        """Prepare; ``pacer`` limits the stores, None if only the holders do."""
        self.purpose = purpose
        self.tally = tally
        self._pacer = pacer
        self._refused: dict[Contact, tuple[int, str]] = {}
        """How many requests a holder refused since it took a value, and why the last one."""

    @property
    def is_paced(self) -> bool:
        """Whether the stores are part of the upkeep, whose rate is limited."""
        return self._pacer is not None

    def wait(self, request_bytes: int, count: int = 1) -> None:
        """Block this greenlet until requests of this size may be sent."""
        if self._pacer is not None:
            self._pacer.wait(request_bytes, count)

    def charge(self, request_bytes: int) -> None:
        """Count a request that is sent without waiting."""
        if self._pacer is not None:
            self._pacer.charge(request_bytes)

    def on_result(self, holder: Contact, refusals: list[Refusal | None]) -> None:
        """Record why a holder refused the values of a request, None in place of those it took."""
        last = refusals[-1]
        # A newer value of this node says nothing about the holder.
        if last is None or any(each is None or each.newest_seq for each in refusals):
            self._refused.pop(holder, None)
        else:
            count, _ = self._refused.get(holder, (0, ""))
            self._refused[holder] = count + 1, last.reason

    def refusal_of(self, holder: Contact) -> str | None:
        """Return why a holder gets no more requests: it refused several; None if it does."""
        count, reason = self._refused.get(holder, (0, ""))
        return reason if count >= _MAX_REFUSED else None
