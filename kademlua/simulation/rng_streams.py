"""Independent random streams, all derived from one seed.

Draws from one stream do not affect the others. So one more node does not change the network,
and another workload does not change the churn.
"""

from __future__ import annotations

import hashlib
import random


class RngStreams:
    """The source of all randomness in one run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, *names: str | int) -> random.Random:
        """Return a new generator for a name, such as ``stream("node", 7)``."""
        return random.Random(self.seed_for(*names))

    def seed_for(self, *names: str | int) -> int:
        """Return a 64-bit number for a name."""
        # repr distinguishes 1 from "1", and ("a", "b") from ("ab",).
        text = repr((self.seed, *names)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
