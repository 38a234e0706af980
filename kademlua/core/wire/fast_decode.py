"""Fast decoding of payloads with a known shape, without the general decoder.

Most packets have one of a few shapes around one key, or one string of contacts or a value. The
general decoder defines the result: a test compares both.
"""

from __future__ import annotations

import re
from typing import Any, Final

from kademlua.core.ids import ID_BYTES


class PayloadTemplate:
    """A payload without its key: the bytes before and after it, and what they mean."""

    __slots__ = (
        "extra_args", "key_end", "key_start", "name", "prefix", "read_only", "suffix", "version",
    )  # fmt: skip

    def __init__(
        self,
        prefix: bytes,
        suffix: bytes,
        name: bytes,
        extra_args: tuple[int, ...] = (),
        version: int = 0,
        *,
        read_only: bool = False,
    ) -> None:
        self.prefix = prefix
        self.key_start = len(prefix)
        self.key_end = self.key_start + (ID_BYTES if prefix.endswith(b"20:") else 0)
        self.suffix = suffix
        self.name = name
        self.extra_args = extra_args
        """The arguments after the key."""
        self.version = version
        self.read_only = read_only


def _build_templates() -> dict[int, list[PayloadTemplate]]:
    """Return the templates by the length of the whole payload."""
    templates = []
    for name in (b"ping", b"getsocket"):  # no key: all of it is prefix
        name_field = b"4:name%d:%b" % (len(name), name)
        templates.append(PayloadTemplate(b"d%b4:argslee" % name_field, b"", name))
        for client_field, is_client in ((b"", False), (b"2:roi1e", True)):
            payload = b"d4:argsle%b%b1:vi1ee" % (name_field, client_field)
            templates.append(PayloadTemplate(payload, b"", name, (), 1, read_only=is_client))
    for name, extra_args in (
        (b"findnode", ()),
        (b"findvalue", ()),
        *(
            (b"findvalue", (howmany,)) for howmany in (6, 50, 4096)
        ),  # limits of the original and of this program
    ):
        name_field = b"4:name%d:%b" % (len(name), name)
        extra_fields = b"".join(b"i%de" % each for each in extra_args)
        templates.append(
            PayloadTemplate(b"d%b4:argsl20:" % name_field, b"%bee" % extra_fields, name, extra_args)
        )
        for client_field, is_client in ((b"", False), (b"2:roi1e", True)):
            suffix = b"%be%b%b1:vi1ee" % (extra_fields, name_field, client_field)
            templates.append(
                PayloadTemplate(b"d4:argsl20:", suffix, name, extra_args, 1, read_only=is_client)
            )
    by_length: dict[int, list[PayloadTemplate]] = {}
    for template in templates:
        length = template.key_end + len(template.suffix)
        by_length.setdefault(length, []).append(template)
    return by_length


_TEMPLATES: Final = _build_templates()
_STORE_PREFIX: Final = b"d4:argsl20:"
_STORE_TEMPLATE: Final = PayloadTemplate(_STORE_PREFIX, b"e4:name5:store1:vi1ee", b"store", (), 1)
"""A store of a string, whose other fields ``_decode_store`` reads."""
_SEQUENCE_PREFIX: Final = b"d3:seqi"
_CLOSEST_PREFIX: Final = b"d7:closesti"
_SEQUENCE_AFTER_CLOSEST: Final = b"e3:seqi"
_REPLY_TOKEN_PREFIX: Final = b"5:token8:"
"""The start of an 8-byte token at the end of a reply."""
_REPLY_TOKEN_SUFFIX_BYTES: Final = 8 + len(b"ee")
_CLOSEST_START: Final = re.compile(rb"ld7:closest(0|[1-9]\d{0,4}):")
_STORED_PREFIX: Final = b"li1ed7:closest"
_FOUND_PREFIX: Final = b"6:retvall"
_STRING_START: Final = re.compile(rb"(0|[1-9]\d{0,4}):")
_TOKEN_END: Final = re.compile(rb"e5:token8:(.{8})ee", re.DOTALL)
_MAX_FOUND: Final = 16
"""Strings in a findvalue reply, at most; the general decoder reads longer lists."""
_V10_STORE_TEMPLATE: Final = PayloadTemplate(b"d4:name5:store4:argsl20:", b"ee", b"store")
"""The original's store of a string, which follows the key."""
_ZERO: Final = ord("0")


def decode_request(payload: bytes) -> tuple[PayloadTemplate, list[Any]] | None:
    """Return the template and the arguments of a request's payload; None if no template fits."""
    for template in _TEMPLATES.get(len(payload), ()):
        start, end = template.key_start, template.key_end
        # Slices are compared in less time than ``startswith`` takes, above all if compiled.
        if payload[:start] == template.prefix and payload[end:] == template.suffix:
            return template, [payload[start:end], *template.extra_args] if start < end else []
    if payload.endswith(_STORE_TEMPLATE.suffix):
        return _decode_store(payload)
    if payload.startswith(_V10_STORE_TEMPLATE.prefix) and payload.endswith(
        _V10_STORE_TEMPLATE.suffix
    ):
        start = len(_V10_STORE_TEMPLATE.prefix)
        value = _byte_string(
            payload, start + ID_BYTES, len(payload) - len(_V10_STORE_TEMPLATE.suffix)
        )
        if value is not None:
            return _V10_STORE_TEMPLATE, [payload[start : start + ID_BYTES], value]
    return None


def _decode_store(payload: bytes) -> tuple[PayloadTemplate, list[Any]] | None:
    """Decode a store of a string, as this program sends it to a holder."""
    key_start, fields_end = len(_STORE_PREFIX), len(payload) - len(_STORE_TEMPLATE.suffix)
    key_end = key_start + ID_BYTES
    colon = payload.find(b":", key_end, key_end + 6)
    length = _decode_number(payload, key_end, colon)
    value_end = position = colon + 1 + length
    if length < 0 or value_end > fields_end or payload[:key_start] != _STORE_PREFIX:
        return None
    token = b""
    if payload[position : position + 6] == b"i0e0:i":  # the flag "overwrite", no token, the TTL
        position += 6
    elif (
        payload[position : position + 5] == b"i0e8:"
        and payload[position + 13 : position + 14] == b"i"
    ):
        token = payload[position + 5 : position + 13]
        position += 14
    else:
        return None
    end = payload.find(b"e", position, position + 13)
    ttl = _decode_number(payload, position, end)
    if ttl < 0 or end >= fields_end:
        return None
    args = [payload[key_start:key_end], payload[colon + 1 : value_end], 0, token, ttl]
    if end + 1 < fields_end:
        fields = _decode_store_fields(payload, end + 1, fields_end - 2)
        if fields is None or payload[fields_end - 2 : fields_end] != b"ee":
            return None
        args.append(fields)
    return _STORE_TEMPLATE, args


def _decode_store_fields(payload: bytes, start: int, end: int) -> dict[bytes, int] | None:
    """Decode a dictionary of ``seq``, perhaps after ``closest``; None for any other."""
    fields: dict[bytes, int] = {}
    position = start + len(_SEQUENCE_PREFIX)
    if payload.startswith(_CLOSEST_PREFIX, start):
        closest_start = start + len(_CLOSEST_PREFIX)
        closest_end = payload.find(b"e", closest_start, closest_start + 4)
        fields[b"closest"] = _decode_number(payload, closest_start, closest_end)
        if fields[b"closest"] < 0 or not payload.startswith(_SEQUENCE_AFTER_CLOSEST, closest_end):
            return None
        position = closest_end + len(_SEQUENCE_AFTER_CLOSEST)
    elif not payload.startswith(_SEQUENCE_PREFIX, start):
        return None
    fields[b"seq"] = seq = _decode_number(payload, position, end)
    return fields if seq >= 0 and end - position <= 19 else None


def _decode_number(payload: bytes, start: int, end: int) -> int:
    """Return the number with bencoded digits between two positions; -1 if there is none."""
    if start >= end:
        return -1
    digits = payload[start:end]
    is_canonical = digits.isdigit() and (digits[0] != _ZERO or len(digits) == 1)
    return int(digits) if is_canonical else -1


def _byte_string(payload: bytes, start: int, end: int) -> bytes | None:
    """Return the bencoded string between two positions; None if there is something else."""
    colon = payload.find(b":", start, start + 6)
    length = _decode_number(payload, start, colon)
    return payload[colon + 1 : end] if length >= 0 and colon + 1 + length == end else None


def decode_values(payload: bytes) -> list[Any] | None:
    """Return the values of a ping, store or findnode reply in a usual form; None for any other."""
    if payload == b"li5ee":
        return [5]
    if payload == b"li1ee":
        return [1]
    if payload.startswith(_STORED_PREFIX) and payload.endswith(b"ee"):
        compact = _byte_string(payload, len(_STORED_PREFIX), len(payload) - 2)
        return None if compact is None else [1, {b"closest": compact}]
    if payload[:11] == b"ld7:closest":
        compact = _byte_string(payload, 11, len(payload) - 2)
        if compact is not None and payload.endswith(b"ee"):
            return [{b"closest": compact}]
        start = len(payload) - _REPLY_TOKEN_SUFFIX_BYTES
        if payload.endswith(_REPLY_TOKEN_PREFIX, 0, start) and payload.endswith(b"ee"):
            compact = _byte_string(payload, 11, start - len(_REPLY_TOKEN_PREFIX))
            if compact is not None:
                return [{b"closest": compact, b"token": payload[start:-2]}]
        return _decode_found(payload)
    return None


def _decode_found(payload: bytes) -> list[Any] | None:
    """Return the values of a findvalue reply with few stored strings; None for any other."""
    start = _CLOSEST_START.match(payload)
    if start is None:
        return None
    end = start.end() + int(start[1])
    closest = payload[start.end() : end]
    if not payload.startswith(_FOUND_PREFIX, end):
        return None
    position = end + len(_FOUND_PREFIX)
    found: list[bytes] = []
    while len(found) < _MAX_FOUND and (string := _STRING_START.match(payload, position)):
        position = string.end() + int(string[1])
        found.append(payload[string.end() : position])
    reply: dict[bytes, Any] = {b"closest": closest, b"retval": found}
    if len(payload) == position + len(b"eee") and payload.endswith(b"eee"):
        return [reply]
    token = _TOKEN_END.fullmatch(payload, position)
    return None if token is None else [reply | {b"token": token[1]}]
