"""Values as lines of JSON, to be taken from one data directory to another."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from kademlua.core.bencoding import decode
from kademlua.core.contact import Contact
from kademlua.core.errors import StorageError, StoreRefused, WireError
from kademlua.core.ids import from_hex
from kademlua.storage.diskstore import DiskStore

FORMAT = "kademlua values"
VERSION = 1
_GROUP = 1_000
"""Values in one commit."""


class Imported(NamedTuple):
    """What came of an import."""

    taken: int
    ended: int
    """Those whose life was over already."""
    refused: dict[str, int]
    """Those over a bound, by reason."""


def export_lines(
    store: DiskStore,
    *,
    clock: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
) -> Iterator[str]:
    """A line that names the format, and one for each value that lives."""
    yield json.dumps({"format": FORMAT, "version": VERSION})
    now, now_wall = clock(), wall()
    for key in store.keys():  # noqa: SIM118  # it is no dictionary
        for owner, entry in store.entries(key):
            if entry.expires > now:
                yield json.dumps(
                    {
                        "key": key.hex(),
                        "owner": {"id": owner.id.hex(), "address": owner.addr, "port": owner.port},
                        "ends": round(now_wall + entry.expires - now, 6),
                        "direct": entry.is_direct,
                        "value": base64.b64encode(entry.encoded).decode(),
                    }
                )


def import_lines(
    store: DiskStore,
    lines: Iterable[str],
    *,
    clock: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
) -> Imported:
    """Put what ``export_lines`` made into a store. StorageError, with the number of the line,
    at the first one that is none of those; what stands before it has been taken."""
    taken = ended = 0
    refused: dict[str, int] = {}
    now, now_wall = clock(), wall()
    for number, line in enumerate(lines, 1):
        try:
            fields = json.loads(line)
            if number == 1:
                _check_format(fields)
                continue
            key, owner, encoded, is_direct, left = _read(fields, now_wall)
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
        if left <= 0:
            ended += 1
            continue
        try:
            store.put(key, owner, encoded, now=now, expires=now + left, is_direct=is_direct)
        except StoreRefused as refusal:
            refused[refusal.reason] = refused.get(refusal.reason, 0) + 1
        else:
            taken += 1
        if taken % _GROUP == 0:
            _keep(store)
    _keep(store)
    return Imported(taken, ended, refused)


def _check_format(fields: dict[str, Any]) -> None:
    if fields["format"] != FORMAT:
        raise ValueError(fields["format"])
    if not 1 <= fields["version"] <= VERSION:
        raise ValueError(f"version {fields['version']}, this Kademlua reads up to {VERSION}")


def _read(fields: dict[str, Any], now_wall: float) -> tuple[bytes, Contact, bytes, bool, float]:
    """Key, owner, value, how it came, and what is left of its life."""
    owner = fields["owner"]
    encoded = base64.b64decode(fields["value"], validate=True)
    decode(encoded)
    contact = Contact(owner["address"], owner["port"], from_hex(owner["id"]))
    return (
        from_hex(fields["key"]),
        contact,
        encoded,
        fields["direct"] is True,
        (float(fields["ends"]) - now_wall),
    )


def _keep(store: DiskStore) -> None:
    said: list[str | None] = []
    store.kept(said.append)
    store.flush()
    if said != [None]:
        raise StorageError(f"the values can't be kept: {said[0]}")
