"""Entry: one value of a bulk store on its way to its replicas."""

from __future__ import annotations

from kademlua.core.contact import Contact
from kademlua.core.results import StoreReport
from kademlua.core.wire.requests import StoreArguments


class Entry:
    """A value, and its result at each node so far."""

    __slots__ = ("arguments", "recipients", "report")

    def __init__(self, arguments: StoreArguments, recipients: list[Contact]) -> None:
        self.arguments = arguments
        self.recipients = recipients
        """The nodes that get the value next, this one left out."""
        self.report = StoreReport()

    def choose_fallbacks(self, nearest: list[Contact]) -> None:
        """Replace the recipients by the same number of the nearest nodes that were not asked."""
        report = self.report
        asked = {*report.acknowledged, *report.timed_out, *[each for each, _ in report.refused]}
        untried = [each for each in nearest if each not in asked]
        self.recipients = untried[: len(self.recipients)]
