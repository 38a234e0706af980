"""FindBudget: how many bytes of values one find accepts, in total and from each node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.reasons import IgnoredValue
from kademlua.core.wire import replies

_OBJECT_BYTES: Final = 64
"""Memory of a Python object in addition to its contents, about: an empty list has 2 bytes in a
reply and 64 here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindLimits:
    """How much one find accepts, and how long it may take."""

    max_values_per_node: int = 4_096
    """Values accepted from each node."""
    max_bytes: int | None = None
    """Bytes of all values, default ``Params.max_find_bytes``. Each of the wanted nodes has an
    equal share."""
    timeout: float | None = None
    """Seconds after which the find returns what it has, default ``Params.find_timeout``."""

    def __post_init__(self) -> None:
        for name in ("max_values_per_node", "max_bytes", "timeout"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, not {value!r:.60}")


DEFAULT_LIMITS: Final = FindLimits()


class FindBudget:
    """The bytes that the nodes of one find may use.

    Everything that a node sends counts against its share, also values that are ignored or rejected
    later: a malicious node uses up its own share only. The total counts the nodes whose values
    are kept.
    """

    __slots__ = ("_kept", "_max_value_bytes", "_share", "_total_left", "_used", "ignored")

    def __init__(self, max_bytes: int, node_count: int, max_value_bytes: int) -> None:
        """Start with all bytes left.

        Args:
            max_bytes: The total.
            node_count: Nodes with an equal share of it.
            max_value_bytes: Size of a value, bencoded; larger ones are ignored.
        """
        self._share = max(1, max_bytes // node_count)
        self._total_left = max_bytes
        self._max_value_bytes = max_value_bytes
        # By endpoint, whose hash is fast; the ids of honest nodes are known to liars.
        self._used: dict[Endpoint, int] = {}
        self._kept: set[Endpoint] = set()
        self.ignored: dict[str, int] = {}
        """The number of ignored values, by ``IgnoredValue``."""

    def admit(self, contact: Contact, values: list[Any], reply_bytes: int = 0) -> list[Any]:
        """Return the values of a reply that fit the budget, and charge the reply to its sender.

        ``reply_bytes`` is the size of the reply, if it is known.
        """
        left = min(self._share - self._used.get(contact.endpoint, 0), self._total_left)
        admitted: list[Any] = []
        received = cost = 0
        for index, value in enumerate(values):
            size = _encoded_size(value)
            received += size
            if size > self._max_value_bytes:
                self.count_ignored(IgnoredValue.TOO_LARGE, 1)
                cost += size
                continue
            cost += size + _OBJECT_BYTES * _object_count(value)
            if cost > left:
                self.count_ignored(IgnoredValue.OVER_BUDGET, len(values) - index)
                break
            admitted.append(value)
        self._charge(contact.endpoint, cost + max(reply_bytes - received, 0))
        return admitted

    def keep(self, contact: Contact) -> None:
        """Charge what a node sent, and will send, to the total: its values are kept."""
        self._kept.add(contact.endpoint)
        self._total_left -= self._used.get(contact.endpoint, 0)

    def is_exhausted(self, contact: Contact) -> bool:
        """Return whether no further value of a node fits."""
        return self._total_left <= 0 or self._used.get(contact.endpoint, 0) >= self._share

    def count_ignored(self, reason: IgnoredValue, count: int) -> None:
        """Count ignored values."""
        self.ignored[reason] = self.ignored.get(reason, 0) + count

    def _charge(self, endpoint: Endpoint, byte_count: int) -> None:
        used = self._used.get(endpoint, 0)
        charged = min(byte_count, self._share - used)  # the share of no other node is touched
        self._used[endpoint] = used + charged
        if endpoint in self._kept:
            self._total_left -= charged


def _encoded_size(value: Any) -> int:
    if type(value) is bytes:  # the usual case
        size = len(value)
        return len(str(size)) + 1 + size
    return len(replies.encode_value(value))


def _object_count(value: Any) -> int:
    if type(value) is list:
        return 1 + sum(map(_object_count, value))
    if type(value) is dict:
        return 1 + len(value) + sum(map(_object_count, value.values()))
    return 1
