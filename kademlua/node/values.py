"""Values: what a node finds, stores and publishes in the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.errors import StoreFailed
from kademlua.core.lookup.find_budget import DEFAULT_LIMITS, FindLimits
from kademlua.core.params import Params
from kademlua.core.results import Answer, Publication, StoreReport
from kademlua.core.values.record_filter import ValueFilter
from kademlua.core.values.validation import validate_key, validate_ttl, validate_value
from kademlua.core.wire.requests import StoreArguments
from kademlua.lookup.service import LookupService
from kademlua.lookup.value_search import FindOptions
from kademlua.node.lifecycle import Lifecycle
from kademlua.replication.read_repair import ReadRepair
from kademlua.runtime.context import Context
from kademlua.values.publisher import Republisher
from kademlua.values.writer import ValueWriter


class Values:
    """The part of a node that deals with plain values, one per key and owner."""

    __slots__ = ("_lifecycle", "_lookups", "_params", "_read_repair", "_republisher", "_writer")

    def __init__(
        self,
        *,
        context: Context,
        lifecycle: Lifecycle,
        lookups: LookupService,
        writer: ValueWriter,
        republisher: Republisher,
        read_repair: ReadRepair,
    ) -> None:
        self._params = context.params
        self._lifecycle = lifecycle
        self._lookups = lookups
        self._writer = writer
        self._republisher = republisher
        self._read_repair = read_repair

    @property
    def params(self) -> Params:
        """The node's parameters."""
        return self._params

    def find_node(self, target: bytes) -> list[Contact]:
        """Look up the k live contacts closest to an id, and return them, nearest first.

        Raises:
            NotJoined, TooManyCalls, NodeClosed, TypeError, ValueError: see ``add``.
        """
        self._lifecycle.require_joined()
        return self._lookups.find_node(validate_key(target)).closest()

    def find_value(
        self,
        key: bytes,
        max_nodes: int = 3,
        *,
        limits: FindLimits | None = None,
        quorum: int = 1,
        value_filter: ValueFilter | None = None,
        paths: int | None = None,
    ) -> list[Answer]:
        """Look up the values of a key; return an empty list if the k closest nodes have none.

        Nodes that should hold the key and do not are repaired in the background.

        Args:
            max_nodes: Stop after this many nodes returned values.
            limits: Values, bytes and seconds that the find may use; it returns what it found
                within them. Values over ``Params.max_value_bytes`` are ignored.
            quorum: Return only values that this many nodes have; the lookup goes on until
                there is one.
            value_filter: Called with the plain values of a node; returns the accepted ones. A
                node without any counts as one that has none.
            paths: The number of disjoint paths, default ``Params.disjoint_paths``.

        Raises:
            NotJoined, TooManyCalls, NodeClosed, TypeError, ValueError: see ``add``.
        """
        self._lifecycle.require_joined()
        paths = paths or self._params.disjoint_paths
        record_filter = self._lookups.record_filter(validate_key(key), value_filter=value_filter)
        options = FindOptions(
            max_nodes=max_nodes, quorum=quorum, path_count=paths, limits=limits or DEFAULT_LIMITS
        )
        search = self._lookups.find_value(key, options, record_filter)
        self._read_repair.after_find(search)
        return search.results()

    def add(self, key: bytes, value: Any, *, ttl: float | None = None) -> StoreReport:
        """Store this node's value of a key next to those of other owners.

        The value replaces an earlier one of this node. It is an int, bytes, text, list or
        dict, and lives for ``ttl`` seconds, default ``Params.ttl``.

        Raises:
            StoreFailed: fewer than ``Params.write_quorum`` nodes stored the value.
            NotJoined: no node answers at the bootstrap addresses.
            TooManyCalls: ``Params.max_calls`` calls are in flight.
            NodeClosed: this node is not running.
            TypeError, ValueError: the key, value or ttl is invalid.
        """
        return self._store(key, value, ttl, overwrite=False)

    def overwrite(self, key: bytes, value: Any, *, ttl: float | None = None) -> StoreReport:
        """Store a value like ``add``, and remove the values of other owners.

        A holder removes them only if its ``Params.overwrite_drops_others`` is set.

        Raises:
            StoreFailed, NotJoined, TooManyCalls, NodeClosed, TypeError, ValueError: see ``add``.
        """
        return self._store(key, value, ttl, overwrite=True)

    def publish(self, key: bytes, value: Any, *, ttl: float | None = None) -> StoreReport:
        """Store a value and store it again before its ``ttl`` ends, until ``unpublish``.

        Published values live as long as their node, across restarts if it has a data directory.

        Raises:
            StoreFailed, NotJoined, TooManyCalls, NodeClosed, TypeError, ValueError: see ``add``;
                the value is not published then.
        """
        publication = self.publication(key, value, ttl)
        self._lifecycle.require_joined()
        return self._write(publication, self._republisher.publish)

    def unpublish(self, key: bytes) -> bool:
        """Stop publishing a key; its value expires at its TTL. Return whether it was published."""
        return self._republisher.unpublish(validate_key(key))

    def published(self) -> list[Publication]:
        """Return what this node publishes."""
        return self._republisher.publications()

    def remove(self, key: bytes) -> StoreReport:
        """Remove this node's value of a key from all holders, and stop publishing it.

        Holders that cannot be reached learn of the removal when they replicate the value.

        Raises:
            NothingToRemove: no holder had a value of this node.
            StoreFailed: no holder removed one, and some refused or did not reply.
            NotJoined, TooManyCalls, NodeClosed, TypeError, ValueError: see ``add``.
        """
        self._lifecycle.require_joined()
        self._republisher.unpublish(validate_key(key))
        return self._writer.remove(key, self._params.max_ttl)

    def _store(self, key: bytes, value: Any, ttl: float | None, *, overwrite: bool) -> StoreReport:
        publication = self.publication(key, value, ttl)
        self._lifecycle.require_joined()

        def store(each: Publication) -> StoreReport:
            return self._writer.store(
                StoreArguments(each.key, each.encoded, each.ttl, overwrite=overwrite, seq=each.seq)
            )

        report = self._write(publication, store)
        self._republisher.unpublish(key)  # otherwise its value would come back
        return report

    def publication(self, key: bytes, value: Any, ttl: float | None) -> Publication:
        """Return a checked value with its TTL and the next sequence number.

        Raises:
            TypeError, ValueError: the key, value or ttl is invalid.
        """
        encoded = validate_value(value, self._params)
        ttl_seconds = validate_ttl(ttl, self._params)
        return Publication(validate_key(key), encoded, ttl_seconds, self._writer.next_seq())

    def _write(
        self, publication: Publication, write: Callable[[Publication], StoreReport]
    ) -> StoreReport:
        """Store a value; once more if the clock was set back since this node stored the last."""
        try:
            report = write(publication)
        except StoreFailed as error:
            if not isinstance(error.report, StoreReport) or not error.report.newer_seqs:
                raise
            report = error.report
        if not report.newer_seqs:
            return report
        return write(publication._replace(seq=self._writer.next_seq(report.newer_seqs)))
