"""Store: the interface of a value store, its entries and its quotas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from kademlua.core.contact import Contact
from kademlua.core.errors import StoreRefused
from kademlua.core.ids import ID_BYTES
from kademlua.core.params import Params

ENTRY_UNIT = 1 << 64
"""What a value adds to the count of its owner's address besides its bytes: both bounds are
kept by one number."""


_BYTES_MASK = ENTRY_UNIT - 1


class StoreEntry(NamedTuple):
    """A stored value: bencoded bytes, the time at which it vanishes, and how it came."""

    encoded: bytes
    expires_at: float
    from_owner: bool = True
    """Whether its owner stored it here, or another holder handed it on."""
    received_at: float = 0.0
    """When this node was last given it, by whomever."""


class Store(Protocol):
    """What a node asks of a store; one on disk has the same."""

    @property
    def is_durable(self) -> bool:
        """Whether anything outlives the process, so that ``when_durable`` is worth waiting for."""

    def put(
        self,
        key: bytes,
        owner: Contact,
        encoded: bytes,
        *,
        now: float,
        expires_at: float,
        overwrite: bool = False,
        from_owner: bool = True,
    ) -> None:
        """Keep a bencoded value, in place of the owner's former one; or StoreRefused.

        One that was handed on (not ``from_owner``) takes the place only of one that was handed
        on, too, and ends earlier; else the former stays, and is noted as given anew.
        """

    def when_durable(self, callback: Callable[[str | None], None]) -> None:
        """Call back once all that was put so far would outlive this process, with None; or
        with the reason why it can't be kept. At once where nothing outlives it."""

    def get(self, key: bytes, limit: int, now: float) -> list[bytes]:
        """Up to ``limit`` bencoded values of a key, the owner that stored last first."""

    def entries(self, key: bytes) -> list[tuple[Contact, StoreEntry]]:
        """All values of a key with their owners; those over, but not yet gone, too."""

    def keys(self) -> Iterator[bytes]:
        """The keys under which something is stored, as they were when this was called."""

    def remove(self, key: bytes, owner: Contact) -> bool:
        """Forget an owner's value; whether there was one."""

    def expire(self, now: float) -> int:
        """Forget what has ended by ``now``; how many values that were."""

    def next_expiry(self) -> float | None:
        """The earliest time at which ``expire`` may have something to do."""

    def __len__(self) -> int: ...

    @property
    def stored_bytes(self) -> int:
        """Bytes of all values, bencoded."""


def quota_key(owner: Contact) -> bytes:
    """What stands for an owner's address when its bytes are counted: of IPv6 the network's
    half, since whoever has one address there has as many as it likes."""
    return owner.compact[ID_BYTES:-2][:8]


def check_quotas(
    params: Params, size: int, entries: int, key_entries: int, stored_bytes: int, address_usage: int
) -> None:
    """StoreRefused where there is no room for a value of ``size`` bytes beside so many entries,
    so many of its key, so many bytes, and what its owner's address has (``ENTRY_UNIT``)."""
    if size > params.max_value_bytes:
        raise StoreRefused(f"value over {params.max_value_bytes} bytes")
    if entries >= params.max_entries:
        raise StoreRefused("no room for more values")
    if key_entries >= params.max_entries_per_key:
        raise StoreRefused("no room for more values of this key")
    if stored_bytes + size > params.max_stored_bytes:
        raise StoreRefused("no room for more bytes")
    if (address_usage & _BYTES_MASK) + size > params.max_bytes_per_address:
        raise StoreRefused("no room for more bytes of this address")
    if address_usage >> 64 >= params.max_entries_per_address:
        raise StoreRefused("no room for more values of this address")
