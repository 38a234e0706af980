"""Values as lines of JSON, to be taken from one node to another. Knows any store, and no lmdb."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from kademlua.core.contact import Contact
from kademlua.core.errors import StorageError, StoreRefused, WireError
from kademlua.core.ids import from_hex
from kademlua.core.values.store import Store
from kademlua.core.wire.bencoding import decode

if TYPE_CHECKING:
    from kademlua.storage.lmdb_store import DiskStore

FORMAT = "kademlua values"
VERSION = 1
_GROUP = 1_000
"""Values in one commit."""


class Held(NamedTuple):
    """A value that a node keeps for its owner."""

    key: bytes
    owner: Contact
    encoded: bytes
    """The value, bencoded."""
    is_direct: bool
    """Whether its owner stored it here, or another holder handed it on."""
    left: float
    """Seconds that it has to live; it has ended where that is no more than 0."""


class Imported:
    """What came of an import, so far."""

    def __init__(self) -> None:
        self.taken = 0
        self.ended = 0
        """Those whose life was over already."""
        self.refused: dict[str, int] = {}
        """Those over a bound, by reason."""

    def refuse(self, reason: str, count: int = 1) -> None:
        """Count some that were not taken."""
        self.refused[reason] = self.refused.get(reason, 0) + count


def held_of(store: Store, keys: Iterable[bytes], clock: Callable[[], float]) -> Iterator[Held]:
    """The values of these keys that live."""
    for key in keys:
        for owner, entry in store.entries(key):
            left = entry.expires - clock()
            if left > 0:
                yield Held(key, owner, entry.encoded, entry.is_direct, left)


def put(store: Store, held: Held, now: float, result: Imported) -> None:
    """Put a value into a store, and count what came of it; it is kept when the store says so."""
    key, owner, encoded, is_direct, left = held
    if left <= 0:
        result.ended += 1
        return
    try:
        store.put(key, owner, encoded, now=now, expires=now + left, is_direct=is_direct)
    except StoreRefused as refusal:
        result.refuse(refusal.reason)
    else:
        result.taken += 1


def lines_of(rows: Iterable[Held], wall: Callable[[], float] = time.time) -> Iterator[str]:
    """A line that names the format, and one for each value."""
    yield json.dumps({"format": FORMAT, "version": VERSION})
    for key, owner, encoded, is_direct, left in rows:
        yield json.dumps(
            {
                "key": key.hex(),
                "owner": {"id": owner.id.hex(), "address": owner.addr, "port": owner.port},
                "ends": round(wall() + left, 6),
                "direct": is_direct,
                "value": base64.b64encode(encoded).decode(),
            }
        )


def read_lines(lines: Iterable[str], wall: Callable[[], float] = time.time) -> Iterator[Held]:
    """What ``lines_of`` made lines of. StorageError, with the number of the line, at the first
    one that is none of those."""
    for number, line in enumerate(lines, 1):
        try:
            fields = json.loads(line)
            if number == 1:
                _check_format(fields)
                continue
            held = _held(fields, wall())
        except (
            KeyError,
            TypeError,
            ValueError,
            WireError,
            binascii.Error,
            RecursionError,
        ) as error:
            what = "is no line of an export" if number > 1 else "does not begin an export"
            raise StorageError(f"line {number} {what}: {error!r:.80}") from None
        yield held


def import_lines(
    store: DiskStore, lines: Iterable[str], *, clock: Callable[[], float] = time.monotonic
) -> Imported:
    """Put what ``lines_of`` made into a store; raises as ``read_lines`` does, and what stands
    before the line has been taken."""
    result = Imported()
    for held in read_lines(lines):
        put(store, held, clock(), result)
        if result.taken % _GROUP == 0:
            _keep(store)
    _keep(store)
    return result


def _check_format(fields: dict[str, Any]) -> None:
    if fields["format"] != FORMAT:
        raise ValueError(fields["format"])
    if not 1 <= fields["version"] <= VERSION:
        raise ValueError(f"version {fields['version']}, this Kademlua reads up to {VERSION}")


def _held(fields: dict[str, Any], now_wall: float) -> Held:
    owner = fields["owner"]
    encoded = base64.b64decode(fields["value"], validate=True)
    decode(encoded)
    return Held(
        from_hex(fields["key"]),
        Contact(owner["address"], owner["port"], from_hex(owner["id"])),
        encoded,
        fields["direct"] is True,
        float(fields["ends"]) - now_wall,
    )


def _keep(store: DiskStore) -> None:
    said: list[str | None] = []
    store.kept(said.append)
    store.flush()
    if said != [None]:
        raise StorageError(f"the values can't be kept: {said[0]}")
