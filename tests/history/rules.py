"""The rules that a history must follow: the promises of docs/lifetime.md, made precise.

Each rule counts what it checked, so that a run that checks nothing is noticed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.history.model import Find, History, Kind, Write

RULES = ("available", "known", "expired", "superseded", "kept", "published", "report")
"""The names of the rules, as they are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The times that the rules allow, in seconds."""

    replicas: int
    """``Params.replicas``."""
    grace: float
    """Two ``Params.replicate_interval``s."""
    settle: float
    """A node is healthy if nothing impaired it for this time."""
    rejoin: float
    """Nodes are together if no partition separated them for this time."""
    early: float = 30.0
    """A value may be missing for so long before its expiry: a transfer takes up to a second off."""
    late: float = 60.0
    """A value may be shown for so long after its expiry."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise."""

    rule: str
    text: str
    key: str
    at: float


@dataclass(slots=True)
class Verdict:
    """What the rules found, and how often they applied."""

    checked: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)


class Rules:
    """Checks one history."""

    def __init__(self, history: History, bounds: Bounds) -> None:
        self._history = history
        self._bounds = bounds
        self._verdict = Verdict()

    def check(self) -> Verdict:
        """Return what all rules found."""
        find_rules: list[Callable[[Find], None]] = [
            self.check_available,
            self.check_known,
            self.check_expired,
            self.check_superseded,
            self.check_kept,
            self.check_published,
        ]
        for find in self._history.finds:
            for rule in find_rules:
                rule(find)
        for write in self._history.writes:
            self.check_report(write)
        return self._verdict

    def check_available(self, find: Find) -> None:
        """A find of a healthy node does not fail.

        Healthy: the node has run for ``settle`` seconds, and for that time was neither paused nor
        behind a link that lost packets, until the end of the find. There must be another healthy
        node, from which no partition separated it for ``rejoin`` seconds.
        """
        since = find.started - self._bounds.rejoin
        if self._is_healthy(find.reader, find) and any(
            self._is_healthy(each, find)
            and self._history.can_talk((each, find.reader), since, find.ended)
            for each in self._history.nodes
            if each != find.reader
        ):
            self._count("available", find, "" if not find.error else f"it failed: {find.error}")

    def check_known(self, find: Find) -> None:
        """A find shows only values that a write, begun before its end, stored under the key."""
        for value in find.values:
            is_known = self._write_of(find, value) is not None
            self._count("known", find, "" if is_known else f"{value!r} was never stored")

    def check_expired(self, find: Find) -> None:
        """A find shows no value ``late`` seconds after its expiry.

        The expiry is the TTL after the end of the store; for a publication, after the last moment
        at which its owner ran and had not ended it. A find that takes long began earlier.
        """
        for value in find.values:
            write = self._write_of(find, value)
            if write is not None:
                late = find.started - self._history.latest_expiry(write, find.started)
                is_late = late > self._bounds.late
                self._count(
                    "expired", find, f"{value!r} expired {late:.1f} s before" if is_late else ""
                )

    def check_superseded(self, find: Find) -> None:
        """A node shows no value that its owner replaced or removed, after the grace period.

        It applies to a node R and an acknowledged write W which replaces the value if, for the
        whole grace period and ``rejoin`` seconds more, until the end of the find, and after W,

        - R ran and was healthy;
        - so were more than half of ``replicas`` nodes which know of W, which have kept it since,
          and which all the time were among the ``replicas`` closest running nodes to the key;
        - no partition separated any of them and R;
        - R was one of the closest itself. (If it was not, all of the closest nodes must know of W,
          because R asks only two of them whether it may release its values.)

        Without such a majority docs/lifetime.md promises nothing: "If most of them refuse it".
        """
        since = find.started - self._bounds.grace - self._bounds.rejoin
        stores = [each for each in self._history.writes_of(find.key) if each.is_store]
        newer = [each for each in self._history.writes_of(find.key) if each.is_acknowledged]
        for new in newer:
            for old in stores:
                if max(old.ended, new.ended) <= since and new.replaces(old):
                    self._check_pair(old, new, since, find)

    def _check_pair(self, old: Write, new: Write, since: float, find: Find) -> None:
        for name in self._followers(new, since, find):
            if find.is_exhaustive or name in find.shown:
                is_wrong = old.value in find.shown.get(name, ())
                text = f"node {name[:8]} shows {old.value!r}, replaced by {new.value!r}"
                text += f" of {new.kind.value} at {new.ended:.1f}"
                self._count("superseded", find, text if is_wrong else "")

    def check_kept(self, find: Find) -> None:
        """A find of all close nodes shows each acknowledged value that it can.

        It applies to an acknowledged store if

        - the reader is healthy, see ``check_available``;
        - so is one of the nodes that acknowledged the store, which has run since the store began,
          or has a disk;
        - no partition separated it from any node for ``rejoin`` seconds: it may have released the
          value to closer nodes, which then are on the other side;
        - the value's TTL, counted from the start of the store, ends ``early`` seconds after the
          find or later;
        - no write that replaces the value was attempted before the end of the find.
        """
        if find.error or not find.is_exhaustive or not self._is_healthy(find.reader, find):
            return
        for write in self._history.writes_of(find.key):
            if (
                write.is_store
                and write.is_acknowledged
                and write.ended < find.started
                and find.ended < write.started + write.ttl - self._bounds.early
                and not self._is_replaced(write, find)
            ):
                holders = [each for each in write.acknowledged if self._holds(each, write, find)]
                if holders:
                    is_shown = write.value in find.values
                    text = f"{write.value!r} of {write.kind.value} at {write.ended:.1f} is missing;"
                    text += f" it should be on {', '.join(each[:8] for each in holders)}"
                    self._count("kept", find, "" if is_shown else text)

    def check_published(self, find: Find) -> None:
        """A find of all close nodes shows each published value whose owner is healthy.

        It applies if the owner was healthy, and together with the reader, for the value's TTL and
        ``rejoin`` seconds before the find; if the publication was acknowledged before that; and if
        no later write of the owner to the key was attempted.
        """
        if find.error or not find.is_exhaustive or not self._is_healthy(find.reader, find):
            return
        history, bounds = self._history, self._bounds
        for write in history.writes_of(find.key):
            since = find.started - write.ttl - bounds.rejoin
            if (
                write.kind is Kind.PUBLISH
                and write.is_acknowledged
                and write.ended <= since
                and history.is_healthy(write.owner, since, find.ended)
                and history.can_talk((write.owner, find.reader), since, find.ended)
                and not self._is_replaced(write, find)
                and not self._is_unpublished(write, find)
            ):
                is_shown = write.value in find.values
                text = f"{write.value!r}, published at {write.ended:.1f}, is missing"
                self._count("published", find, "" if is_shown else text)

    def check_report(self, write: Write) -> None:
        """A node that acknowledged a store holds the value, and after a remove holds none.

        It applies to the nodes whose store was read immediately after the reply.
        """
        for name in write.inspected:
            self._verdict.checked["report"] += 1
            if name in write.disproved:
                text = f"{name[:8]} acknowledged {write.kind.value} {write.value!r}, and is not so"
                self._verdict.violations.append(Violation("report", text, write.key, write.ended))

    # Terms

    def _is_healthy(self, name: str, find: Find) -> bool:
        return self._history.is_healthy(name, find.started - self._bounds.settle, find.ended)

    def _holds(self, name: str, write: Write, find: Find) -> bool:
        since = find.started - self._bounds.rejoin
        return (
            self._history.has_kept(name, write.started, find.ended)
            and self._is_healthy(name, find)
            and self._history.can_talk(self._history.nodes, since, find.ended)
        )

    def _is_replaced(self, write: Write, find: Find) -> bool:
        return any(
            each.replaces(write) and each.started <= find.ended
            for each in self._history.writes_of(find.key)
        )

    def _is_unpublished(self, write: Write, find: Find) -> bool:
        return any(
            each.kind is Kind.UNPUBLISH
            and each.owner == write.owner
            and write.started < each.started <= find.ended
            for each in self._history.writes_of(find.key)
        )

    def _write_of(self, find: Find, value: bytes) -> Write | None:
        for each in self._history.writes_of(find.key):
            if each.is_store and each.value == value and each.started <= find.ended:
                return each
        return None

    def _followers(self, write: Write, since: float, find: Find) -> set[str]:
        """Return the nodes that must know of a write; see ``check_superseded``."""
        history, bounds = self._history, self._bounds
        if 2 * len(write.informed) <= bounds.replicas:
            return set()
        always, ever = history.closest_throughout(write.key, bounds.replicas, since, find.ended)
        majority = {
            each
            for each in write.informed & always
            if history.has_kept(each, write.started, find.ended)
            and history.is_healthy(each, since, find.ended)
        }
        if 2 * len(majority) <= bounds.replicas:
            return set()
        if not history.can_talk(majority, since, find.ended):
            return set()
        candidates = set(history.nodes) if majority == ever else always
        return majority | {
            each
            for each in candidates - majority
            if history.is_healthy(each, since, find.ended)
            and history.can_talk(majority | {each}, since, find.ended)
        }

    def _count(self, rule: str, find: Find, wrong: str) -> None:
        """Count a check; ``wrong`` says what is wrong, if anything."""
        self._verdict.checked[rule] += 1
        if wrong:
            text = f"find by {find.reader[:8]} at {find.started:.1f}: {wrong}"
            self._verdict.violations.append(Violation(rule, text, find.key, find.started))
