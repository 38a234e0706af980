"""Job: one store of many values, as those who do the work see it."""

from __future__ import annotations

from kademlua.core.reasons import Purpose
from kademlua.values.bulk.tally import Tally
from kademlua.values.pacing import UpkeepPacer


class Job:
    """Why values are stored, what that costs so far, and how fast it may be."""

    __slots__ = ("_pacer", "purpose", "tally")

    def __init__(self, purpose: Purpose, tally: Tally, pacer: UpkeepPacer | None) -> None:
        """Prepare; ``pacer`` limits the stores, None if only the holders do."""
        self.purpose = purpose
        self.tally = tally
        self._pacer = pacer

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
