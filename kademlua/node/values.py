"""NodeValues: what a node finds, stores and publishes in the network."""

from __future__ import annotations

from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.results import Answer, Publication, StoreReport
from kademlua.core.values.record_filter import ValueFilter
from kademlua.core.values.validation import validate_key, validate_ttl, validate_value
from kademlua.node.calls import NodeCalls
from kademlua.replication.read_repair import ReadRepair
from kademlua.values.publisher import Republisher
from kademlua.values.writer import ValueWriter


class NodeValues(NodeCalls):
    """The part of ``Node`` that is for plain values, each of an owner."""

    _mending: ReadRepair
    _publications: Republisher
    _storing: ValueWriter

    def find_node(self, target: bytes) -> list[Contact]:
        """The k live contacts closest to an id, nearest first. Raises as ``add`` does."""
        self._require_joined()
        return self._operations.find_node(validate_key(target)).closest()

    def find_value(
        self,
        key: bytes,
        answers: int = 3,
        per_node: int = 4096,
        *,
        quorum: int = 1,
        accept: ValueFilter | None = None,
        paths: int | None = None,
    ) -> list[Answer]:
        """The values of a key, from up to ``answers`` nodes, up to ``per_node`` of each.

        With a ``quorum`` only values that at least so many nodes have, and the search goes on
        until there is one. ``accept`` is given the plain values of an answer and returns those
        that are to be believed; a node without any counts as one that has none. With
        ``paths``, by default ``Params.disjoint_paths``, nodes are sought on so many disjoint
        paths. An empty list where the k closest nodes have none. Holders that were seen to lack it
        are given it in the background. Raises as ``add`` does.
        """
        self._require_joined()
        paths = paths or self.params.disjoint_paths
        sieve = self._operations.record_filter(validate_key(key), value_filter=accept)
        finding = self._operations.find_value(key, answers, per_node, quorum, sieve, paths)
        self._mending.after_find(finding)
        return finding.results()

    def add(self, key: bytes, value: Any, *, ttl: float | None = None) -> StoreReport:
        """Store this node's value of a key, beside those of others; its former one goes.

        The value is an int, bytes, text, list or dict. It lives for ``ttl`` seconds, by
        default ``Params.ttl``. Raises StoreFailed where fewer than ``Params.write_quorum``
        took it, NotJoined, TooManyCalls, NodeClosed, and TypeError or ValueError for a bad
        key, value or ttl.
        """
        return self.store(key, value, ttl=ttl)

    def overwrite(self, key: bytes, value: Any, *, ttl: float | None = None) -> StoreReport:
        """As ``add``; and where the holders' ``Params`` allow it, other owners' values of
        the key go too."""
        return self.store(key, value, ttl=ttl, overwrite=True)

    def store(
        self, key: bytes, value: Any, *, ttl: float | None = None, overwrite: bool = False
    ) -> StoreReport:
        """``add``, or ``overwrite``, as the last argument says."""
        publication = self._publication(key, value, ttl)
        self._require_joined()
        return self._storing.store(*publication, overwrite=overwrite)

    def publish(self, key: bytes, value: Any, *, ttl: float | None = None) -> StoreReport:
        """Store a value and keep it alive until ``unpublish``, while this node lives: it is
        stored again before ``ttl`` is over. Raises as ``add`` does; then it is not published.
        """
        publication = self._publication(key, value, ttl)
        self._require_joined()
        return self._publications.publish(publication)

    def unpublish(self, key: bytes) -> bool:
        """Let a published value end with its time; whether it was published."""
        return self._publications.unpublish(validate_key(key))

    def published(self) -> list[Publication]:
        """What this node publishes."""
        return self._publications.publications()

    def remove(self, key: bytes) -> StoreReport:
        """Take this node's own value of a key away from all who hold it; it is not published
        any more, either. Those that could not be reached learn it when they hand it on.

        Raises StoreFailed where nobody answered, and otherwise as ``add`` does.
        """
        self._require_joined()
        self._publications.unpublish(validate_key(key))
        return self._storing.remove(key, validate_ttl(None, self.params))

    def _publication(self, key: bytes, value: Any, ttl: float | None) -> Publication:
        encoded = validate_value(value, self.params)
        return Publication(validate_key(key), encoded, validate_ttl(ttl, self.params))
