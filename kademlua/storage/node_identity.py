"""The node's signing key and addresses in the database ``meta`` of ``node.lmdb``."""

from __future__ import annotations

import json
from typing import Any

from kademlua.core.contact import Endpoint
from kademlua.core.errors import CryptoUnavailable
from kademlua.crypto.signing import SigningKey
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.row_format import ADDRESSES_KEY, IDENTITY_KEY, seal, unseal
from kademlua.values.ownership import UNKNOWN_ADDRESSES, OwnAddresses


def read_identity(write_buffer: WriteBuffer) -> SigningKey | None:
    """Return the saved key; None if there is none, or without the library for signatures."""
    secret = _read(write_buffer, IDENTITY_KEY)
    try:
        return None if secret is None else SigningKey(secret)
    except CryptoUnavailable:
        return None


def create_identity(write_buffer: WriteBuffer) -> SigningKey | None:
    """Save a new key and return it; None without the library for signatures."""
    try:
        identity = SigningKey.generate()
    except CryptoUnavailable:
        return None
    write_buffer.put("meta", IDENTITY_KEY, seal(IDENTITY_KEY, identity.secret))
    return identity


def read_addresses(write_buffer: WriteBuffer) -> OwnAddresses:
    """Return the node's addresses in its last run."""
    data = _read(write_buffer, ADDRESSES_KEY)
    if data is None:
        return UNKNOWN_ADDRESSES
    fields = json.loads(data)
    return OwnAddresses(
        _to_endpoint(fields["bound"]), _to_endpoint(fields["external"]), fields["moved_at"]
    )


def write_addresses(write_buffer: WriteBuffer, addresses: OwnAddresses) -> None:
    """Save the node's addresses."""
    bound, external, moved_at = addresses.bound, addresses.external, addresses.moved_at
    text = json.dumps({"bound": bound, "external": external, "moved_at": moved_at})
    data = seal(ADDRESSES_KEY, text.encode())
    if write_buffer.get("meta", ADDRESSES_KEY) != data:
        write_buffer.put("meta", ADDRESSES_KEY, data)


def _read(write_buffer: WriteBuffer, row_key: bytes) -> bytes | None:
    data = write_buffer.get("meta", row_key)
    if data is None:
        return None
    body = unseal(row_key, data)
    if body is None:
        write_buffer.drop_damaged("meta", row_key)
    return body


def _to_endpoint(form: Any) -> Endpoint | None:
    return None if form is None else (form[0], form[1])
