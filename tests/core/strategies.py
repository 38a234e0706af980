"""Hypothesis strategies for ids, contacts and bencodable values."""

from __future__ import annotations

import ipaddress
import random

from hypothesis import strategies as st

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int

ids = st.binary(min_size=20, max_size=20)
ports = st.integers(1, 65535)
addresses_v4 = st.ip_addresses(v=4).map(str)
addresses_v6 = (
    st.ip_addresses(v=6).filter(lambda a: a.ipv4_mapped is None and not a.is_link_local).map(str)
)
contacts_v4 = st.builds(Contact, addresses_v4, ports, ids)
contacts_v6 = st.builds(Contact, addresses_v6, ports, ids)
contacts = contacts_v4 | contacts_v6

# What decoding gives: bytes as text and as keys.
leaves = st.integers() | st.binary(max_size=30)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.binary(max_size=12), inner, max_size=5)
    ),
    max_leaves=15,
)


def make_contact(number: int, *, port: int = 0, addr: str = "") -> Contact:
    """A contact with the id of a number; its address and port differ by number, too."""
    some = random.Random(number)
    return Contact(
        addr or str(ipaddress.IPv4Address(some.getrandbits(32))),
        port or some.randrange(1, 65536),
        from_int(number),
    )
