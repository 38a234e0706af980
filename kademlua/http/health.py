"""The health of a node or a swarm: one level, and a reason for each part of it."""

from __future__ import annotations

import enum
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import TypedDict

from kademlua.core.contact import format_endpoint
from kademlua.core.reasons import MatchFailure
from kademlua.node.node import Node
from kademlua.runtime.timer import Timer
from kademlua.swarm.event_hub import EventHub

_SAMPLE_SECONDS = 1.0
_SAMPLES = 60
_HIGH_LAG = 0.05
"""Seconds of event loop lag that peers notice as slow replies."""
_EXTREME_LAG = 0.5
"""Seconds of event loop lag after which peers retransmit."""
_HIGH_REPUBLISH_LAG = 600.0
"""Seconds that a value is overdue: the sweep needs a few minutes for a part of the keys."""
_HIGH_DROP_SHARE = 0.05
"""A share of all packets that no healthy network drops, other than late replies."""
_HIGH_LATE_SHARE = 0.33
"""The same for late replies: a lookup that ends leaves up to 30 of 50 queries unanswered, and each
is two packets."""
_MIN_DROPS = 10
_JOINING_SHARE = 0.05


class Level(enum.StrEnum):
    """How bad a state is."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


class CheckJson(TypedDict):
    """One part of the health: its name, its level and the reason in words."""

    name: str
    level: str
    reason: str


class HealthJson(TypedDict):
    """The health: the worst level of all checks, and the checks."""

    level: str
    checks: list[CheckJson]


class HealthMonitor:
    """Checks one node, or with an event hub the swarm around it."""

    def __init__(
        self, node: Node, recent_lag: Callable[[], float], event_hub: EventHub | None = None
    ) -> None:
        """Create the monitor; ``recent_lag`` returns the lag of the event loop in seconds."""
        self._node = node
        self._recent_lag = recent_lag
        self._event_hub = event_hub
        self._samples: deque[Counter[str]] = deque(maxlen=_SAMPLES)
        self._timer = Timer(self._sample)

    def start(self) -> None:
        """Start to count the packets of the last minute."""
        self._sample()

    def close(self) -> None:
        """Stop counting; idempotent."""
        self._timer.stop()

    def report(self) -> HealthJson:
        """Return the health now."""
        checks = self._node_checks() if self._event_hub is None else self._swarm_checks()
        levels = list(Level)
        worst = max(levels.index(Level(each["level"])) for each in checks)
        return {"level": levels[worst], "checks": checks}

    def _sample(self) -> None:
        stats = self._node.stats()
        counts = Counter({f"dropped {name}": n for name, n in stats["dropped"].items()})
        counts["packets"] = stats["packets_in"]
        self._samples.append(counts)
        self._timer.start(_SAMPLE_SECONDS)

    def _node_checks(self) -> list[CheckJson]:
        counts = self._samples[-1] - self._samples[0] if self._samples else Counter[str]()
        packets = counts.pop("packets", 0)
        drops = {name.removeprefix("dropped "): count for name, count in counts.items()}
        return [
            _check_joined(self._node),
            _check_reachable(self._node),
            _check_published(self._node),
            _check_storage(self._node),
            check_lag(self._recent_lag()),
            check_drops(drops, packets),
        ]

    def _swarm_checks(self) -> list[CheckJson]:
        hub = self._event_hub
        assert hub is not None
        recent = list(hub.recent_summaries)
        drops: Counter[str] = Counter()
        for each in recent:
            drops.update(each["dropped"])
        lags = [self._recent_lag(), *(each["lag_seconds"] for each in recent[-10:])]
        replicas = min(self._node.params.replicas, hub.node_count)
        return [
            check_members(hub.joined_count, hub.node_count),
            check_values(hub.inventory.holders, hub.inventory.lost_keys, replicas),
            check_lag(sorted(lags)[(len(lags) - 1) * 9 // 10]),
            check_drops(drops, sum(each["packets_in"] for each in recent)),
        ]


def check_members(joined: int, count: int) -> CheckJson:
    """Check how many nodes of a swarm have joined."""
    if joined == count:
        return _check("nodes", Level.GOOD, f"all {count:,} joined")
    level = Level.WARNING if count - joined > count * _JOINING_SHARE else Level.GOOD
    return _check("nodes", level, f"{joined:,} of {count:,} joined, {count - joined:,} joining")


def check_values(
    holders: Mapping[str, Iterable[int]], lost_keys: list[str], replicas: int
) -> CheckJson:
    """Check that each key has as many copies as the network wants."""
    copies = [len(list(each)) for each in holders.values()]
    few = [count for count in copies if count < replicas]
    parts = []
    if lost_keys:
        shown = ", ".join(key[:8] for key in lost_keys[:3]) + (" …" if len(lost_keys) > 3 else "")
        parts.append(f"{_count(len(lost_keys), 'key')} lost with the last holder: {shown}")
    if few:
        parts.append(
            f"{len(few):,} of {_count(len(copies), 'key')} below {replicas} copies,"
            f" the fewest {min(few)}; being repaired"
        )
    if not parts:
        reason = f"{_count(len(copies), 'key')}, each with {replicas} copies or more"
        return _check("values", Level.GOOD, reason if copies else "no values stored yet")
    return _check("values", Level.BAD if lost_keys else Level.WARNING, "; ".join(parts))


def check_lag(seconds: float) -> CheckJson:
    """Check the lag of the event loop."""
    level = Level.GOOD
    reason = f"{seconds * 1e3:.0f} ms"
    if seconds >= _HIGH_LAG:
        level = Level.BAD if seconds >= _EXTREME_LAG else Level.WARNING
        reason += ", so replies are late: the machine is busy, or has too many nodes"
    return _check("event loop lag", level, reason)


def check_drops(drops: Mapping[str, int], packets: int) -> CheckJson:
    """Check the share of dropped packets in the last minute."""
    total = sum(drops.values())
    if not total:
        return _check("drops", Level.GOOD, "none in the last minute")
    late = drops.get(MatchFailure.UNEXPECTED, 0)
    is_high = total - late > max(_MIN_DROPS, packets * _HIGH_DROP_SHARE)
    is_high = is_high or late > max(_MIN_DROPS, packets * _HIGH_LATE_SHARE)
    by_count = sorted(drops.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in by_count[:3])
    reason = f"{total:,} of {packets:,} packets in the last minute: {shown}"
    return _check("drops", Level.WARNING if is_high else Level.GOOD, reason)


def _check_joined(node: Node) -> CheckJson:
    contacts = len(node.table)
    if not node.joined:
        reason = (
            "no bootstrap node replied; check their addresses, or start other nodes with"
            f" --bootstrap {format_endpoint(node.contact.endpoint)}"
        )
        return _check("joined", Level.BAD, reason)
    if not contacts:
        reason = (
            "no contacts: this node is alone; start another one with"
            f" --bootstrap {format_endpoint(node.contact.endpoint)}"
        )
        return _check("joined", Level.WARNING, reason)
    return _check("joined", Level.GOOD, _count(contacts, "contact"))


def _check_reachable(node: Node) -> CheckJson:
    if node.reachable is None:
        return _check("reachable", Level.GOOD, "not known yet: few peers have tried")
    if node.reachable:
        return _check("reachable", Level.GOOD, "peers reach this node")
    reason = f"peers do not reach UDP port {node.contact.port}: allow it in firewall and router"
    return _check("reachable", Level.WARNING, reason)


def _check_published(node: Node) -> CheckJson:
    republisher = node.services.republisher
    counts = republisher.copies()
    total = sum(counts.values())
    wanted = min(node.params.replicas, len(node.table) + 1)
    few = {copies: count for copies, count in counts.items() if copies < wanted}
    lag = republisher.lag()
    if few:
        level = Level.BAD if min(few) == 0 else Level.WARNING
        reason = (
            f"{sum(few.values()):,} of {total:,} below {wanted} copies, the fewest {min(few)};"
            " they will be stored again"
        )
    elif lag >= _HIGH_REPUBLISH_LAG:
        level = Level.WARNING
        reason = (
            f"republishing is {lag:,.0f} s late: raise replication_bytes_per_second, or publish"
            " less"
        )
    elif total:
        level = Level.GOOD
        reason = f"{_count(total, 'value')}, each with {wanted} copies or more"
    else:
        level, reason = Level.GOOD, "none"
    return _check("published values", level, reason)


def _check_storage(node: Node) -> CheckJson:
    if node.healthy:
        size = f"{_count(len(node.datastore), 'value')}, {node.datastore.stored_bytes:,} bytes"
        return _check("store", Level.GOOD, size)
    reason = "the node is closed" if node.closed else node.datastore.damage
    return _check("store", Level.BAD, reason or "maintenance is stuck; restart the node")


def _check(name: str, level: Level, reason: str) -> CheckJson:
    return {"name": name, "level": level, "reason": reason}


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
