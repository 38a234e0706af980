"""BlockPublisher: publishes and unpublishes blocks of several objects at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from kademlua.core.results import Publication, StoreReport
from kademlua.values.bulk.parallel import run_parallel
from kademlua.values.publisher import Republisher

_UNPUBLISH_CONCURRENCY: Final = 64
"""Publications that end together: they wait for the same commit."""


class BlockPublisher:
    """The blocks that a node publishes. One that belongs to an unfinished object stays published
    when another object ends that has it, too."""

    __slots__ = ("_ending", "_republisher", "_writing")

    def __init__(self, republisher: Republisher) -> None:
        self._republisher = republisher
        self._writing: dict[int, set[bytes]] = {}
        """The keys of blocks of unfinished objects, by the identity of the set."""
        self._ending: dict[int, set[bytes]] = {}
        """The keys of blocks that stay published although an object ends, for each that is ending,
        likewise."""

    def publications(self) -> list[Publication]:
        """Return the current publications."""
        return self._republisher.publications()

    @contextmanager
    def writing(self, written: set[bytes]) -> Iterator[None]:
        """Keep the blocks published to whose keys ``publish`` adds, while entered."""
        with _member(self._writing, written):
            yield

    def publish(self, publication: Publication, written: set[bytes]) -> StoreReport:
        """Publish a block of an unfinished object, and add its key to those of the object.

        Raises:
            StoreFailed, StorageError: It is not published.
        """
        written.add(publication.key)
        for kept in self._ending.values():
            kept.add(publication.key)
        return self._republisher.publish(publication)

    def unpublish(self, choose: Callable[[], set[bytes]]) -> bool:
        """Stop publishing blocks, except those of unfinished objects.

        ``choose`` returns their keys. It may take a while, in which objects begin and end. Return
        whether it returned any.
        """
        with _member(self._ending, set[bytes]().union(*self._writing.values())) as kept:
            keys = choose()

            def unpublish(key: bytes) -> None:
                if key not in kept:
                    self._republisher.unpublish(key)

            for _ in run_parallel(unpublish, keys, lambda: _UNPUBLISH_CONCURRENCY):
                pass
        return bool(keys)


@contextmanager
def _member(sets: dict[int, set[bytes]], member: set[bytes]) -> Iterator[set[bytes]]:
    """Yield a set, which is a member of others while entered."""
    sets[id(member)] = member
    try:
        yield member
    finally:
        del sets[id(member)]
