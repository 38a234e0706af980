"""An estimate of the network's size, from how near the nearest contacts are."""

from __future__ import annotations

from kademlua.core.ids import ID_BITS

_SPACE = 1 << ID_BITS
_LAST = 16
_FEW = 4
"""Places by which it is not known yet what is usual."""


class SizeEstimate:
    """Pools the densities that lookups met.

    Ids are spread evenly, so the n-th nearest node to any point lies about n / N of the id
    space away. One lookup's k nearest tell N within some 22 % (one standard deviation, k
    = 20); the last sixteen, pooled, within 6 %.
    """

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: list[tuple[float, int, int, int]] = []

    def __len__(self) -> int:
        return len(self._samples)

    def clear(self) -> None:
        """Forget all samples: they are of another time."""
        self._samples.clear()

    def sample(self, now: float, target: int, numbers: list[int]) -> None:
        """Take in a lookup's result: the ids nearest to ``target``, nearest first. Of one place
        only the last counts."""
        if len(numbers) >= 2:
            if any(place == target for _, place, _, _ in self._samples):
                self._samples = [each for each in self._samples if each[1] != target]
            self._samples.append((now, target, len(numbers) - 1, numbers[-1] ^ target))
            del self._samples[:-_LAST]

    def nodes(self, own: int, known: list[int], k: int, since: float) -> int:
        """Nodes in the network, this one included.

        ``known`` are the ids nearest to ``own`` in the routing table now, up to k of
        them, or none where the neighbours are not known; ``since`` is the time before which
        a lookup's result is too old to count.
        """
        count = volume = 0
        if len(known) == k:
            count, volume = k - 1, known[-1] ^ own
        elif known or not self._samples:
            return len(known) + 1
        for when, _, nearer, distance in self._samples:
            if when >= since:
                count += nearer
                volume += distance
        return max(round(count * _SPACE / max(volume, 1)) + 1, len(known) + 1)

    @staticmethod
    def around(own: int, known: list[int]) -> int:
        """Nodes in the network as those nearest to ``own`` tell it, nearest first; 0 of fewer
        than two."""
        if len(known) < 2:
            return 0
        return (len(known) - 1) * _SPACE // max(known[-1] ^ own, 1)

    def usual(self, since: float) -> int | None:
        """Nodes in the network as the median of the places tells them: crowds at fewer than
        half of the places don't matter. None where too few were seen since a time."""
        sizes = sorted(
            nearer * _SPACE // max(distance, 1)
            for when, _, nearer, distance in self._samples
            if when >= since
        )
        return sizes[len(sizes) // 2] + 1 if len(sizes) >= _FEW else None
