"""Published objects: which of a node's publications belong to which object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kademlua.core.ids import ID_BYTES
from kademlua.core.objects.errors import MalformedObject
from kademlua.core.objects.form import PLAIN, BlockForm
from kademlua.core.objects.tree import ObjectRoot, child_key, root_of
from kademlua.core.results import Publication


@dataclass(frozen=True, slots=True)
class PublishedObject:
    """An object that a node publishes."""

    key: bytes
    size: int
    """Bytes of the object."""
    ttl: int
    """Seconds that its blocks live after each store."""


class PublishedObjects:
    """The objects among some publications."""

    def __init__(self, publications: Iterable[Publication], form: BlockForm = PLAIN) -> None:
        self._form = form
        self._by_key: dict[bytes, Publication] = {}
        self._roots: dict[bytes, ObjectRoot] = {}
        for each in publications:
            self._by_key[each.key] = each
            root = root_of(each.encoded, form)
            if root is not None:
                self._roots[each.key] = root

    def others(self) -> list[Publication]:
        """Return the publications that belong to no object."""
        parts = self.all_keys()
        return [each for key, each in self._by_key.items() if key not in parts]

    def objects(self) -> list[PublishedObject]:
        """Return all objects."""
        return [
            PublishedObject(key, root.layout.size, self._by_key[key].ttl)
            for key, root in self._roots.items()
        ]

    def all_keys(self) -> set[bytes]:
        """Return the keys of all records of objects."""
        found = set(self._roots)
        for key in self._roots:
            found |= self._keys_below(key)
        return found

    def keys_of(self, key: bytes) -> set[bytes]:
        """Return the keys of an object's records that belong to no other object."""
        if key not in self._roots:
            return set()
        others: set[bytes] = set()
        for other in self._roots.keys() - {key}:
            others |= {other} | self._keys_below(other)
        return ({key} | self._keys_below(key)) - others

    def _keys_below(self, key: bytes) -> set[bytes]:
        root = self._roots[key]
        contents, found = [root.content], set()
        for level in range(root.layout.top_level - 1, -1, -1):
            keys = {
                child_key(content, position)
                for content in contents
                for position in range(len(content) // ID_BYTES)
            }
            found |= keys
            if level:
                contents = [self._content(key) for key in keys]
        return found

    def _content(self, key: bytes) -> bytes:
        """Return the content of a block of keys; none if the node publishes something else."""
        if key not in self._by_key:
            return b""
        try:
            content = self._form.decode(self._by_key[key].value)
        except MalformedObject:
            return b""
        return content if isinstance(content, bytes) else b""
