"""The errors of objects."""

from __future__ import annotations

from kademlua.core.errors import KademluaError
from kademlua.core.objects.report import ObjectReport


class ObjectError(KademluaError):
    """An object cannot be stored or read."""


class MalformedObject(ObjectError):
    """The records of an object contradict each other: its author made it so."""


class BlockMissing(ObjectError):
    """No node has a block of an object, or none returned it in time.

    ``offset`` is the position in the object from which bytes are missing.
    """

    def __init__(self, key: bytes, offset: int) -> None:
        super().__init__(f"no node returned block {key.hex()}, which holds byte {offset:,}")
        self.key = key
        self.offset = offset


class ObjectNotFound(ObjectError, KeyError):
    """No node has the root of an object, or none returned it in time."""

    def __init__(self, key: bytes) -> None:
        super().__init__(f"no node has an object {key.hex()}")
        self.key = key

    def __str__(self) -> str:
        return str(self.args[0])


class ObjectRefused(ObjectError):
    """A block could not be stored; ``report`` says how much of the object was."""

    def __init__(self, reason: str, report: ObjectReport) -> None:
        super().__init__(f"{report.summary()}, then {reason}")
        self.report = report
