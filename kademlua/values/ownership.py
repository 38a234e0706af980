"""Ownership: a node proves that values are its own after its address has changed.

A value belongs to the id and the address of the node that stored it. A node with an identity, an
ed25519 key, has the SHA-1 of the public key as its id. It can sign a store or remove, and so
replace the values that it stored with the same id at another address.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import CryptoUnavailable
from kademlua.core.ids import sha1
from kademlua.core.values.store import Store
from kademlua.core.wire.requests import OwnerProof
from kademlua.crypto import signing
from kademlua.crypto.signing import Signer
from kademlua.runtime.context import Context

_PREFIX: Final = b"kademlua owner 1"
_SEQ_BYTES: Final = 8
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class OwnAddresses:
    """A node's addresses, which its data directory preserves."""

    bound: Endpoint | None = None
    external: Endpoint | None = None
    """The address as peers see it; None while unknown."""
    moved_at: float | None = None
    """Seconds since 1970 of the last change; None before the first."""


UNKNOWN_ADDRESSES: Final = OwnAddresses()


class OwnershipProver:
    """Signs the stores and removes of a node whose address changed while its values lived."""

    def __init__(self, context: Context, identity: Signer | None, previous: OwnAddresses) -> None:
        self._context = context
        self._identity = identity
        self._addresses = previous

    @property
    def addresses(self) -> OwnAddresses:
        """The node's addresses now, and when they changed last."""
        known = self._addresses
        bound = self._context.local_contact.endpoint
        external = self._context.status.external_address or known.external
        has_moved = (known.bound is not None and known.bound != bound) or (
            known.external is not None and known.external != external
        )
        moved_at = self._context.wall_clock() if has_moved else known.moved_at
        self._addresses = replace(known, bound=bound, external=external, moved_at=moved_at)
        return self._addresses

    @property
    def is_needed(self) -> bool:
        """Whether values of this node may live at an earlier address, and it can prove that."""
        moved_at = self.addresses.moved_at if self._identity is not None else None
        return (
            moved_at is not None
            and self._context.wall_clock() - moved_at <= self._context.params.max_ttl
        )

    def proof(self, holder: Contact, key: bytes, seq: int) -> OwnerProof | None:
        """Return a proof; None without an identity."""
        if self._identity is None:
            return None
        return sign_proof(self._identity, holder.id, key, seq)


def id_of(identity: Signer) -> bytes:
    """Return the node id that belongs to an identity."""
    return sha1(identity.public_key)


def sign_proof(identity: Signer, holder_id: bytes, key: bytes, seq: int) -> OwnerProof:
    """Sign a store or remove for one holder, which cannot use the proof at another one."""
    message = _message(holder_id, key, seq)
    return OwnerProof(identity.public_key, identity.sign(message))


def is_proven(owner_id: bytes, holder_id: bytes, key: bytes, seq: int, proof: OwnerProof) -> bool:
    """Return whether a proof is valid; False without the library for signatures."""
    if sha1(proof.public_key) != owner_id:
        return False
    try:
        return signing.verify(proof.public_key, proof.signature, _message(holder_id, key, seq))
    except CryptoUnavailable:
        return False


def other_addresses(store: Store, key: bytes, owner: Contact) -> list[Contact]:
    """Return the contacts at other addresses from which an owner's id stored values."""
    return [each for each in store.owners_with_id(key, owner.id) if each != owner]


def _message(holder_id: bytes, key: bytes, seq: int) -> bytes:
    return _PREFIX + holder_id + key + seq.to_bytes(_SEQ_BYTES, "big")
