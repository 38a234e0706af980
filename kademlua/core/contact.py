"""Contact: the address, port and id of a node, immutable and shared."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from struct import Struct
from typing import Final

from kademlua.core.address_scope import AddressScope, scope_of
from kademlua.core.errors import WireError
from kademlua.core.ids import ID_BYTES, prefix_of, to_int
from kademlua.core.reasons import DropReason

Endpoint = tuple[str, int]
"""An IP address in canonical text, and a UDP port."""

SUBNET_BYTES: Final = {4: 3, 16: 6}
"""Bytes of an address, 4 or 16, that name its subnet: an IPv4 /24, an IPv6 /48."""
COMPACT_V4_BYTES: Final = ID_BYTES + 4 + 2
COMPACT_V6_BYTES: Final = ID_BYTES + 16 + 2
_COMPACT_V4: Final = Struct(f"{COMPACT_V4_BYTES}s")
_COMPACT_V6: Final = Struct(f"{COMPACT_V6_BYTES}s")
IPV4_MAPPED_PREFIX: Final = b"\0" * 10 + b"\xff\xff"
"""The first bytes of an IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2)."""
_NOT_PUBLIC: Final = (AddressScope.PRIVATE, AddressScope.LOOPBACK)
LINK_LOCAL_MESSAGE: Final = (
    "an IPv6 link-local address has no meaning on other links; use another address"
)


class Contact:
    """A node's address, port and id. Contacts are equal if all three are.

    ``compact`` is the contact as version 1.1 sends it (id, address, port), ``encoded_v10`` the
    bencoded list ``[addr, port, id]`` of version 1.0. Both are stored, since replies join them.
    """

    __slots__ = (
        "compact", "encoded_v10", "endpoint", "id", "id_int", "is_private", "prefix", "scope",
    )  # fmt: skip

    id: bytes
    """The node's id, 20 bytes."""
    id_int: int
    """The id as an integer, for distances."""
    prefix: int
    """The first 60 bits of the id, with which most distances can be compared."""
    endpoint: Endpoint
    is_private: bool
    """Whether the address is private: see ``is_private``."""
    scope: int
    """From where the address can be reached: the value of an ``AddressScope``."""
    compact: bytes
    encoded_v10: bytes

    def __init__(self, addr: str, port: int, node_id: bytes, *, compact: bytes = b"") -> None:
        """Raise ValueError for an invalid or link-local IP address, port (1 to 65535) or id.

        ``from_compact`` passes ``compact`` in place of the three.
        """
        self._fill(compact or _encode_compact(addr, port, node_id))

    def _fill(self, compact: bytes) -> None:
        """Set all attributes; WireError if the bytes are no contact."""
        node_id, address_bytes = compact[:ID_BYTES], compact[ID_BYTES:-2]
        if len(address_bytes) == 4:
            addr = socket.inet_ntoa(address_bytes)
        else:
            if address_bytes.startswith(IPV4_MAPPED_PREFIX):  # must be sent as 26 bytes
                raise WireError(DropReason.BAD_CONTACT)
            addr = socket.inet_ntop(socket.AF_INET6, address_bytes)
        port = int.from_bytes(compact[-2:], "big")
        if port == 0:
            raise WireError(DropReason.BAD_CONTACT)
        self.id = node_id
        self.id_int = to_int(node_id)
        self.prefix = prefix_of(self.id_int)
        self.endpoint = (addr, port)
        self.is_private = is_private(address_bytes)
        self.scope = int(scope_of(address_bytes))
        self.compact = compact
        encoded_addr = addr.encode()
        self.encoded_v10 = b"l%d:%bi%de20:%be" % (len(encoded_addr), encoded_addr, port, node_id)

    @classmethod
    def from_compact(cls, compact: bytes) -> Contact:
        """Return the contact of 26 (IPv4) or 38 (IPv6) bytes; WireError for anything else."""
        if len(compact) not in (COMPACT_V4_BYTES, COMPACT_V6_BYTES):
            raise WireError(DropReason.BAD_CONTACT)
        return Contact("", 0, b"", compact=compact)

    @property
    def addr(self) -> str:
        """The IP address in canonical text."""
        return self.endpoint[0]

    @property
    def port(self) -> int:
        """The UDP port, 1 to 65535."""
        return self.endpoint[1]

    @property
    def address_bytes(self) -> bytes:
        """The address as 4 or 16 bytes."""
        return self.compact[ID_BYTES:-2]

    @property
    def diversity_prefix(self) -> bytes:
        """The subnet of the address, an IPv4 /24 or an IPv6 /48: see ``SUBNET_BYTES``."""
        compact = self.compact
        return compact[ID_BYTES : ID_BYTES + SUBNET_BYTES[len(compact) - ID_BYTES - 2]]

    @property
    def is_ipv6(self) -> bool:
        """Whether the address is an IPv6 address; 1.0 peers cannot read those."""
        return len(self.compact) == COMPACT_V6_BYTES

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Contact) and self.compact == other.compact

    def __hash__(self) -> int:
        return hash(self.compact)

    def __repr__(self) -> str:
        return f"<Contact {format_endpoint(self.endpoint)} {self.id.hex()}>"


class AddressFamilies:
    """The address families to which a node can send."""

    __slots__ = ("ipv4", "ipv6")

    def __init__(self, *, ipv4: bool, ipv6: bool) -> None:
        self.ipv4 = ipv4
        self.ipv6 = ipv6

    def supports(self, *, is_ipv6: bool) -> bool:
        """Return whether the node can send to addresses of one family."""
        return self.ipv6 if is_ipv6 else self.ipv4


ALL_FAMILIES: Final = AddressFamilies(ipv4=True, ipv6=True)


class ContactPool:
    """Interns contacts, so that equal ones are one object.

    Thousands of nodes in one process know the same contacts. The size is bounded without
    bookkeeping: when the young generation is full, the old one is dropped.
    """

    __slots__ = ("_limit", "_old", "_young")

    def __init__(self, limit: int = 32_768) -> None:
        self._limit = limit
        self._young: dict[bytes, Contact] = {}
        self._old: dict[bytes, Contact] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def from_compact(self, compact: bytes) -> Contact:
        """Return the interned contact of compact bytes; WireError if they are invalid, or the
        address is a link-local one."""
        contact = self._young.get(compact)
        return contact if contact is not None else self._add(compact)

    def intern(self, addr: str, port: int, node_id: bytes) -> Contact:
        """Return the interned contact; ValueError as for ``Contact``."""
        return self.from_compact(_encode_compact(addr, port, node_id))

    def find(self, addr: str, port: int, node_id: bytes) -> Contact:
        """Return the interned contact, or a new one that is not interned: senders and contacts
        that a request names must not fill the pool. ValueError as for ``Contact``."""
        return self.find_compact(_encode_compact(addr, port, node_id))

    def find_compact(self, compact: bytes) -> Contact:
        """Return the same for compact bytes; WireError if they are invalid."""
        contact = self._young.get(compact) or self._old.get(compact)
        return contact if contact is not None else Contact.from_compact(compact)

    def from_compact_list(self, compact: bytes, size: int) -> list[Contact]:
        """Return the contacts of ``size`` bytes each (26 or 38), concatenated in ``compact``.

        WireError if bytes are left over or a contact is invalid.
        """
        if len(compact) % size:
            raise WireError(DropReason.BAD_CONTACT)
        young = self._young
        iter_pieces = (_COMPACT_V4 if size == COMPACT_V4_BYTES else _COMPACT_V6).iter_unpack
        try:
            return [young[piece] for (piece,) in iter_pieces(compact)]  # the usual case
        except KeyError:
            return [self.from_compact(piece) for (piece,) in iter_pieces(compact)]

    def _add(self, compact: bytes) -> Contact:
        interned = self._old.pop(compact, None) or Contact.from_compact(compact)
        if is_link_local(interned.address_bytes):
            raise WireError(DropReason.BAD_CONTACT)
        if len(self._young) >= self._limit:
            self._old, self._young = self._young, {}
        self._young[compact] = interned
        return interned


def _encode_compact(addr: str, port: int, node_id: bytes) -> bytes:
    """Return the compact form of a contact; ValueError if a part is invalid."""
    if not 0 < port < 65536:
        raise ValueError(f"a port is 1 to 65535, not {port}")
    if len(node_id) != ID_BYTES:
        raise ValueError(f"an id has {ID_BYTES} bytes, not {len(node_id)}")
    address_bytes = _pack_address(addr)
    if is_link_local(address_bytes):
        raise ValueError(f"{addr}: {LINK_LOCAL_MESSAGE}")
    return node_id + address_bytes + port.to_bytes(2, "big")


def is_private(address_bytes: bytes) -> bool:
    """Return whether an address (4 or 16 bytes) is not on the open internet.

    These are loopback, private (RFC 1918, 4193), link-local (RFC 3927, 4291) and carrier-grade NAT
    addresses (RFC 6598).
    """
    is_loopback_broadcast = len(address_bytes) == 4 and address_bytes[0] == 127
    return (
        scope_of(address_bytes) in _NOT_PUBLIC
        or is_link_local(address_bytes)
        or is_loopback_broadcast
    )


def is_link_local(address_bytes: bytes) -> bool:
    """Return whether an address (4 or 16 bytes) is an IPv6 link-local one (fe80::/10)."""
    first, second = address_bytes[0], address_bytes[1]
    return len(address_bytes) == 16 and first == 0xFE and second & 0xC0 == 0x80


def canonical_address(addr: str) -> tuple[str, bytes]:
    """Return an IP address in canonical text, and its 4 or 16 bytes.

    An IPv4-mapped address (``::ffff:127.0.0.1``) becomes IPv4. ValueError for a host name or
    anything else.
    """
    address_bytes = _pack_address(addr)
    family = socket.AF_INET if len(address_bytes) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, address_bytes), address_bytes


def _pack_address(addr: str) -> bytes:
    """Return the bytes of ``canonical_address``."""
    family = socket.AF_INET6 if ":" in addr else socket.AF_INET
    try:
        address_bytes = socket.inet_pton(family, addr)
    except (OSError, ValueError, UnicodeError):
        raise ValueError(f"not an IP address: {addr[:60]!r}") from None
    return address_bytes[12:] if address_bytes.startswith(IPV4_MAPPED_PREFIX) else address_bytes


def global_address(addr: str) -> tuple[str, bytes]:
    """Return the same as ``canonical_address``; ValueError for a link-local address, too."""
    canonical, address_bytes = canonical_address(addr)
    if is_link_local(address_bytes):
        raise ValueError(f"{canonical}: {LINK_LOCAL_MESSAGE}")
    return canonical, address_bytes


def format_endpoint(endpoint: Endpoint) -> str:
    """Format an endpoint as ``127.0.0.1:8001`` or ``[::1]:8001``."""
    addr, port = endpoint
    return f"[{addr}]:{port}" if ":" in addr else f"{addr}:{port}"


def parse_endpoint(text: str, default_port: int | None = None) -> Endpoint:
    """Return the host and port of ``HOST:PORT``; the host may be a name or ``[::1]``.

    With ``default_port``, ``HOST`` is enough, unless it is a number: that is rather a port. Names
    are not resolved. ValueError, in one line, for anything else.
    """
    text = text.strip()
    has_port = ":" in text.rpartition("]")[2]
    if default_port is not None and text and not has_port and not text.isdigit():
        text = f"{text}:{default_port}"
    host, colon, digits = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"write an IPv6 address as [ADDR]:PORT, not {text[:80]!r}")
    if not colon or not host or not digits.isascii() or not digits.isdigit():
        raise ValueError(f"expected HOST:PORT, not {text[:80]!r}")
    if len(digits) > 9 or not 0 < int(digits) < 65536:
        raise ValueError(f"a port is 1 to 65535, not {digits[:20]}")
    return host, int(digits)


def encode_v10_contacts(contacts: Iterable[Contact]) -> bytes:
    """Return contacts as the bencoded list of version 1.0, without IPv6 ones."""
    return b"l%be" % b"".join(
        [c.encoded_v10 for c in contacts if len(c.compact) == COMPACT_V4_BYTES]
    )
