"""Chance in streams: one seed, and from it a stream for each concern.

What one concern draws changes nothing for the others: a node more does not reshuffle the
network, nor another workload the churn.
"""

from __future__ import annotations

import hashlib
import random


class RngStreams:
    """All chance of one run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, *names: str | int) -> random.Random:
        """The stream of this name, from its beginning: ``stream("node", 7)``."""
        return random.Random(self.seed_for(*names))

    def seed_for(self, *names: str | int) -> int:
        """One number of 64 bits for this name, where a whole stream would be too much."""
        # repr tells 1 from "1", and ("a", "b") from ("ab",).
        text = repr((self.seed, *names)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
