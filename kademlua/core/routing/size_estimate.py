"""An estimate of the network's size, from how near the nearest contacts are."""

from __future__ import annotations

from kademlua.core.ids import ID_BITS

_ID_SPACE = 1 << ID_BITS
_MAX_SAMPLES = 16
_MIN_SAMPLES = 4
"""Places by which it is not known yet what is usual."""


class NetworkSizeEstimator:
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

    def reset(self) -> None:
        """Forget all samples: they are of another time."""
        self._samples.clear()

    def add_sample(self, now: float, target: int, nearest: list[int]) -> None:
        """Take in a lookup's result: the ids nearest to ``target``, nearest first. Of one place
        only the last counts."""
        if len(nearest) >= 2:
            if any(place == target for _, place, _, _ in self._samples):
                self._samples = [each for each in self._samples if each[1] != target]
            self._samples.append((now, target, len(nearest) - 1, nearest[-1] ^ target))
            del self._samples[:-_MAX_SAMPLES]

    def estimate(self, local_int: int, nearest: list[int], k: int, not_before: float) -> int:
        """Nodes in the network, this one included.

        ``nearest`` are the ids nearest to ``local_int`` in the routing table now, up to k of
        them, or none where the neighbours are not known; ``not_before`` is the time before which
        a lookup's result is too old to count.
        """
        count = volume = 0
        if len(nearest) == k:
            count, volume = k - 1, nearest[-1] ^ local_int
        elif nearest or not self._samples:
            return len(nearest) + 1
        for sampled_at, _, nearer_count, distance in self._samples:
            if sampled_at >= not_before:
                count += nearer_count
                volume += distance
        return max(round(count * _ID_SPACE / max(volume, 1)) + 1, len(nearest) + 1)

    @staticmethod
    def from_neighbours(local_int: int, nearest: list[int]) -> int:
        """Nodes in the network as those nearest to ``local_int`` tell it, nearest first; 0 of fewer
        than two."""
        if len(nearest) < 2:
            return 0
        return (len(nearest) - 1) * _ID_SPACE // max(nearest[-1] ^ local_int, 1)

    def median(self, not_before: float) -> int | None:
        """Nodes in the network as the median of the places tells them: crowds at fewer than
        half of the places don't matter. None where too few were seen since a time."""
        sizes = sorted(
            nearer * _ID_SPACE // max(distance, 1)
            for when, _, nearer, distance in self._samples
            if when >= not_before
        )
        return sizes[len(sizes) // 2] + 1 if len(sizes) >= _MIN_SAMPLES else None
