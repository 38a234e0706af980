"""An estimate of the network's size from the distances of the closest contacts."""

from __future__ import annotations

from typing import Final

from kademlua.core.ids import ID_BITS

_ID_SPACE: Final = 1 << ID_BITS
_MAX_SAMPLES: Final = 16
_MIN_SAMPLES: Final = 4
"""Lookups that are needed for a median."""


class NetworkSizeEstimator:
    """Combines the densities that lookups found.

    Ids are evenly distributed, so the n-th nearest node to any point is about n / N of the id space
    away. The 20 nearest of one lookup give N within 22 % (one standard deviation), those of sixteen
    lookups within 6 %.
    """

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: list[tuple[float, int, int, int]] = []

    def __len__(self) -> int:
        return len(self._samples)

    def reset(self) -> None:
        """Forget all samples."""
        self._samples.clear()

    def add_sample(self, now: float, target: int, nearest: list[int]) -> bool:
        """Add the result of a lookup: the ids nearest to ``target``, nearest first.

        Only the last result of one place counts. Return whether the samples have just become enough
        for a median, or as many again, so that it is clearly more exact.
        """
        if len(nearest) < 2:
            return False
        former_count = len(self._samples)
        if any(place == target for _, place, _, _ in self._samples):
            self._samples = [each for each in self._samples if each[1] != target]
        self._samples.append((now, target, len(nearest) - 1, nearest[-1] ^ target))
        del self._samples[:-_MAX_SAMPLES]
        count = len(self._samples)
        return count > former_count and count >= _MIN_SAMPLES and count & (count - 1) == 0

    def estimate(self, local_int: int, nearest: list[int], k: int, not_before: float) -> int:
        """Return the estimated number of nodes, including this one.

        Args:
            nearest: The ids nearest to ``local_int`` in the table, up to k; none if the neighbours
                are unknown.
            not_before: Older lookups do not count.
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
        """Return the estimate from the ids nearest to ``local_int``, nearest first.

        Return 0 for fewer than two ids.
        """
        if len(nearest) < 2:
            return 0
        return (len(nearest) - 1) * _ID_SPACE // max(nearest[-1] ^ local_int, 1)

    def median(self, not_before: float) -> int | None:
        """Return the median estimate of all places, which a minority of Sybil clusters cannot
        change.

        Return None if there are too few recent lookups.
        """
        sizes = sorted(
            nearer * _ID_SPACE // max(distance, 1)
            for when, _, nearer, distance in self._samples
            if when >= not_before
        )
        count = len(sizes)
        if count < _MIN_SAMPLES:
            return None
        return (sizes[(count - 1) // 2] + sizes[count // 2]) // 2 + 1
