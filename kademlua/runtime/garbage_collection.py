"""Settings of the garbage collector for programs that run many nodes in one process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def relaxed_garbage_collection() -> Iterator[None]:
    """Collect cyclic garbage rarely: thousands of nodes are many objects with few cycles.

    The setting holds for the whole process, so a library must not use it.
    """
    thresholds = gc.get_threshold()
    gc.collect()
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
