"""The handler of the batch route: many keys in one request, lines of JSON in both directions."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import falcon
from msgspec import UNSET

from kademlua.api.bulk_operations import find_result_to_json, store_result_to_json
from kademlua.api.fields import BadRequest
from kademlua.core import ids
from kademlua.core.errors import KademluaError, NotJoined
from kademlua.core.json_codec import value_from_json
from kademlua.core.results import FindResult, StoreResult
from kademlua.http.route import ApiRequest
from kademlua.node.bulk_iterators import BulkRun

logger = logging.getLogger(__name__)

JSON_LINES: Final = "application/jsonl"
OPERATIONS: Final = ("add", "overwrite", "publish", "find")
_PART_BYTES: Final = 16_384
_MAX_LINE_BYTES: Final = 98_304
"""No node accepts a value whose line is longer."""


@dataclass(frozen=True, slots=True)
class _MalformedLine:
    """Takes the place of a key, so that the operation returns a result for the line, too."""

    line: int
    error: str


class _Lines:
    """The lines of a request, which are read while the operation draws them."""

    def __init__(self, read: Callable[[int], bytes], *, is_hex: bool) -> None:
        self._read = read
        self._is_hex = is_hex
        self._numbers: dict[bytes, deque[int]] = {}
        """The numbers of the lines without a result, by key."""

    def rows(self, *, has_values: bool) -> Iterator[Any]:
        """Yield the keys, or pairs of keys and values."""
        for number, line in enumerate(_split_lines(self._read), start=1):
            if not line.strip():
                continue
            key: bytes | _MalformedLine
            try:
                key, value = self._parse(line, has_values=has_values)
                self._numbers.setdefault(key, deque()).append(number)
            except (ValueError, RecursionError) as error:
                key, value = _MalformedLine(number, str(error)[:200]), None
            yield (key, value) if has_values else key

    def take_number(self, key: bytes) -> int:
        """Return the number of the line to which a result for a key belongs."""
        numbers = self._numbers[key]
        number = numbers.popleft()
        if not numbers:
            del self._numbers[key]
        return number

    def _parse(self, line: bytes, *, has_values: bool) -> tuple[bytes, Any]:
        if len(line) > _MAX_LINE_BYTES:
            raise ValueError(f"a line has at most {_MAX_LINE_BYTES:,} bytes")
        row = json.loads(line)
        if not isinstance(row, dict) or not isinstance(row.get("key"), str):
            raise ValueError('a line is an object with the text "key"')
        key = ids.from_hex(row["key"]) if self._is_hex else ids.sha1(row["key"])
        if has_values and "value" not in row:
            raise ValueError('a line needs a "value"')
        return key, value_from_json(row["value"]) if has_values else None


def _split_lines(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield lines, of those that are too long only the beginning."""
    rest = b""
    while part := read(_PART_BYTES):
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
        rest = rest[: _MAX_LINE_BYTES + 1]
    yield rest


def run_batch(request: ApiRequest) -> Iterator[bytes]:
    """Store or find the keys of all lines; return a line for each, as results arrive."""
    http, node, query = request.http, request.node, request.query
    if http.content_length is None:
        raise falcon.HTTPLengthRequired(description="send Content-Length")
    ttl = None if query.ttl is UNSET else query.ttl
    if ttl is not None and ttl > node.params.max_ttl:
        raise BadRequest(f"a TTL is 1 s to {node.params.max_ttl:,} s")
    if not node.joined:
        raise NotJoined("no node answers at the bootstrap addresses")
    lines = _Lines(http.bounded_stream.read, is_hex=query.hex)
    rows = lines.rows(has_values=query.operation != "find")
    run: BulkRun[Any]
    if query.operation == "find":
        run = node.find_many(rows, query.answers)
    else:
        store_many = {
            "add": node.add_many,
            "overwrite": node.overwrite_many,
            "publish": node.publish_many,
        }
        run = store_many[query.operation](rows, ttl=ttl)
    results = _result_lines(request, run, lines)
    next(results)  # begins: the error of too many transfers has a status
    return results


def _result_lines(
    request: ApiRequest, run: BulkRun[Any], lines: _Lines
) -> Generator[bytes, None, None]:
    """Yield nothing at first, then a line for each result."""
    with request.services.object_transfers.one():
        try:
            yield b""
            for result in run:
                yield _encode(_result_to_json(result, lines))
        except KademluaError as error:  # too late for a status
            logger.warning("a batch was cut short: %s", error)
            raise ConnectionAbortedError(str(error)) from error
        finally:
            run.close()


def _result_to_json(result: StoreResult | FindResult, lines: _Lines) -> dict[str, Any]:
    key: bytes | _MalformedLine = result.key
    if isinstance(key, _MalformedLine):
        return asdict(key)
    number = lines.take_number(key)
    if isinstance(result, FindResult):
        return {"line": number, **find_result_to_json(result)}
    return {"line": number, **store_result_to_json(result)}


def _encode(row: dict[str, Any]) -> bytes:
    return json.dumps(row).encode() + b"\n"
