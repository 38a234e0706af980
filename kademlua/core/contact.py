"""Contact: where a node is reached and who it is, immutable and shared."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from struct import Struct

from kademlua.core.errors import WireError
from kademlua.core.ids import ID_BYTES
from kademlua.core.reasons import DropReason

Endpoint = tuple[str, int]
"""An IP address in its canonical text and a UDP port."""

PACKED_V4 = ID_BYTES + 4 + 2
PACKED_V6 = ID_BYTES + 16 + 2
_PIECES_V4 = Struct(f"{PACKED_V4}s")
_PIECES_V6 = Struct(f"{PACKED_V6}s")
_MAPPED = b"\0" * 10 + b"\xff\xff"
"""An IPv4 address in IPv6's clothes begins so."""
_LOOPBACK = bytes(15) + b"\x01"


class Contact:
    """A node's address, port and id; equal where all three are equal.

    ``packed`` is the contact on the wire of version 1.1 (id, address, port), and
    ``listed`` the bencoded list ``[addr, port, id]`` of version 1.0. Both stand ready
    because replies are joined from them.
    """

    __slots__ = ("endpoint", "id", "is_private", "listed", "number", "packed")

    id: bytes
    """20 bytes."""
    number: int
    """The id as a number, for distances."""
    endpoint: Endpoint
    is_private: bool
    """Whether the address is one of loopback, of a private network or of a single link."""
    packed: bytes
    listed: bytes

    def __init__(self, addr: str, port: int, node_id: bytes) -> None:
        """Raise ValueError for what is no IP address, no port (1 to 65535) or no id."""
        if not 0 < port < 65536:
            raise ValueError(f"a port is 1 to 65535, not {port}")
        if len(node_id) != ID_BYTES:
            raise ValueError(f"an id has {ID_BYTES} bytes, not {len(node_id)}")
        addr, raw = canonical_address(addr)
        self._fill(node_id, addr, raw, port)

    def _fill(self, node_id: bytes, addr: str, raw: bytes, port: int) -> None:
        self.id = node_id
        self.number = int.from_bytes(node_id, "big")
        self.endpoint = (addr, port)
        self.is_private = is_private(raw)
        self.packed = node_id + raw + port.to_bytes(2, "big")
        text = addr.encode()
        self.listed = b"l%d:%bi%de20:%be" % (len(text), text, port, node_id)

    @classmethod
    def unpack(cls, packed: bytes) -> Contact:
        """The contact of 26 (IPv4) or 38 (IPv6) bytes; WireError for anything else."""
        raw = packed[ID_BYTES:-2]
        if len(raw) == 4:
            addr = socket.inet_ntoa(raw)
        elif len(raw) == 16:
            if raw.startswith(_MAPPED):  # IPv4 has a packed form of its own
                raise WireError(DropReason.BAD_CONTACT)
            addr = socket.inet_ntop(socket.AF_INET6, raw)
        else:
            raise WireError(DropReason.BAD_CONTACT)
        port = int.from_bytes(packed[-2:], "big")
        if port == 0:
            raise WireError(DropReason.BAD_CONTACT)
        contact = cls.__new__(cls)
        contact._fill(packed[:ID_BYTES], addr, raw, port)
        return contact

    @property
    def addr(self) -> str:
        """The IP address in its canonical text."""
        return self.endpoint[0]

    @property
    def port(self) -> int:
        """The UDP port, 1 to 65535."""
        return self.endpoint[1]

    @property
    def raw(self) -> bytes:
        """Its address as 4 or 16 bytes."""
        return self.packed[ID_BYTES:-2]

    @property
    def network(self) -> bytes:
        """The network of its address: an IPv4 /24 as 3 bytes, an IPv6 /48 as 6."""
        packed = self.packed
        return packed[ID_BYTES : ID_BYTES + (3 if len(packed) == PACKED_V4 else 6)]

    @property
    def is_ipv6(self) -> bool:
        """Whether the address is one of IPv6: a 1.0 peer is never told of it."""
        return len(self.packed) == PACKED_V6

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Contact) and self.packed == other.packed

    def __hash__(self) -> int:
        return hash(self.packed)

    def __repr__(self) -> str:
        return f"<Contact {format_endpoint(self.endpoint)} {self.id.hex()}>"


class ContactPool:
    """Contacts by their packed bytes, so that equal ones are one object.

    A table of a hundred contacts in each of a thousand nodes of one process would be a
    hundred thousand objects; shared, they are a thousand. Bounded without bookkeeping:
    when the young generation is full, the old one is forgotten.
    """

    __slots__ = ("_limit", "_old", "_young")

    def __init__(self, limit: int = 32_768) -> None:
        self._limit = limit
        self._young: dict[bytes, Contact] = {}
        self._old: dict[bytes, Contact] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def unpack(self, packed: bytes) -> Contact:
        """The shared contact of packed bytes; WireError where they are none."""
        contact = self._young.get(packed)
        return contact if contact is not None else self._add(packed, None)

    def contact(self, addr: str, port: int, node_id: bytes) -> Contact:
        """The shared contact; ValueError as ``Contact`` raises it."""
        contact = Contact(addr, port, node_id)
        return self._young.get(contact.packed) or self._add(contact.packed, contact)

    def unpack_all(self, packed: bytes, size: int) -> list[Contact]:
        """The contacts of ``size`` bytes each, 26 or 38, that stand in a row in ``packed``.

        WireError where a rest remains or one is bad.
        """
        if len(packed) % size:
            raise WireError(DropReason.BAD_CONTACT)
        young = self._young
        pieces = (_PIECES_V4 if size == PACKED_V4 else _PIECES_V6).iter_unpack
        try:
            return [young[piece] for (piece,) in pieces(packed)]  # nearly always
        except KeyError:
            return [self.unpack(piece) for (piece,) in pieces(packed)]

    def _add(self, packed: bytes, contact: Contact | None) -> Contact:
        known = self._old.pop(packed, None) or contact or Contact.unpack(packed)
        if len(self._young) >= self._limit:
            self._old, self._young = self._young, {}
        self._young[known.packed] = known
        return known


def is_private(raw: bytes) -> bool:
    """Whether an address (4 or 16 bytes) is one of loopback, of a private network (RFC 1918,
    4193), behind a carrier's NAT (6598) or of a single link (3927, 4291)."""
    first, second = raw[0], raw[1]
    if len(raw) == 16:
        return first & 0xFE == 0xFC or (first == 0xFE and second & 0xC0 == 0x80) or raw == _LOOPBACK
    if first in (10, 127):
        return True
    if first == 192 or first == 169:
        return second == (168 if first == 192 else 254)
    return (first == 172 and second & 0xF0 == 16) or (first == 100 and second & 0xC0 == 64)


def canonical_address(addr: str) -> tuple[str, bytes]:
    """An IP address in the one text that names it, and its 4 or 16 bytes.

    An IPv4 address in IPv6's clothes (``::ffff:127.0.0.1``) becomes plain IPv4.
    ValueError for a host name or anything else.
    """
    family = socket.AF_INET6 if ":" in addr else socket.AF_INET
    try:
        raw = socket.inet_pton(family, addr)
    except (OSError, ValueError, UnicodeError):
        raise ValueError(f"not an IP address: {addr[:60]!r}") from None
    if raw.startswith(_MAPPED):
        family, raw = socket.AF_INET, raw[12:]
    return socket.inet_ntop(family, raw), raw


def format_endpoint(endpoint: Endpoint) -> str:
    """``127.0.0.1:8001``, ``[::1]:8001``."""
    addr, port = endpoint
    return f"[{addr}]:{port}" if ":" in addr else f"{addr}:{port}"


def parse_endpoint(text: str) -> Endpoint:
    """The address and port of ``HOST:PORT``; the host may be a name or ``[::1]``.

    ValueError with one clear line otherwise. Names are not resolved here.
    """
    host, colon, digits = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"write an IPv6 address as [ADDR]:PORT, not {text[:80]!r}")
    if not colon or not host or not digits.isascii() or not digits.isdigit():
        raise ValueError(f"expected HOST:PORT, not {text[:80]!r}")
    if len(digits) > 9 or not 0 < int(digits) < 65536:
        raise ValueError(f"a port is 1 to 65535, not {digits[:20]}")
    return host, int(digits)


def join_listed(contacts: Iterable[Contact]) -> bytes:
    """Contacts as the bencoded list of version 1.0, which never names an IPv6 one."""
    return b"l%be" % b"".join([c.listed for c in contacts if len(c.packed) == PACKED_V4])
