"""The endpoints, ids and keys of the search: the node, its neighbours, the attacker, and others."""

from __future__ import annotations

from kademlua import Contact, sha1
from kademlua.core.contact import Endpoint
from tests.security.plans import KEY_COUNT, SENDER_COUNT, SOURCE_COUNT

NODE: Endpoint = ("20.1.1.1", 4000)
NODE_ID = sha1("the node")
NEIGHBOURS = [
    Contact(f"30.{number}.1.1", 4000, sha1(f"neighbour {number}")) for number in range(24)
]
"""Honest contacts in the node's routing table."""
SOURCES: list[Endpoint] = [
    ("40.1.1.1", 54_321),
    ("40.1.1.1", 4_321),  # the end of the text of the first one
    ("40.2.1.1", 4_000),
    ("40.3.1.1", 4_000),
    ("40.1.1.1", 321),
    ("40.4.1.1", 4_000),
    ("40.5.1.1", 4_000),
    ("40.6.1.1", 4_000),
]
"""The attacker reads what is sent to those with even numbers; the others it only forges."""
SENDERS = [sha1(f"sender {number}") for number in range(SENDER_COUNT - 3)] + [
    NODE_ID[:3] + sha1("near")[3:],
    NEIGHBOURS[0].id,
    NODE_ID,
]
_FAR = bytes([NODE_ID[0] ^ 0x80]) + NODE_ID[1:]
"""The node is not among the closest to this key."""
SOURCE_IDS = [_FAR[:2] + sha1(f"source {number}")[2:] for number in range(SOURCE_COUNT)]
"""The ids of validated attackers at first: they are the closest to a key."""
KEYS = [
    sha1("one value"),
    sha1("many values"),
    sha1("a value of 3 kB"),
    sha1("a value of 14 kB"),
    sha1("five values of 14 kB"),
    sha1("a value of 200 bytes"),
    _FAR,
    NODE_ID,
    b"short",
    _FAR + b"5",  # as many bytes longer as the port of the first source is than that of the second
    _FAR + b"54",
]
STORED_SIZES = [[100], [100] * 24, [3_000], [14_000], [14_000] * 5, [200]]
"""The sizes of the values that the node holds, for the first keys."""

PUBLIC: list[Endpoint] = [(f"60.{number}.1.1", 4_000) for number in range(28)]
"""Third parties that never send anything."""
FORBIDDEN: list[Endpoint] = [
    ("127.0.0.1", 53),
    ("0.0.0.0", 123),
    ("10.0.0.5", 161),
    ("192.168.1.1", 80),
    ("169.254.169.254", 80),
    ("224.0.0.251", 5_353),
    ("239.1.2.3", 1_900),
    ("255.255.255.255", 137),
    ("240.0.0.1", 7),
    ("172.16.0.1", 53),
    ("100.64.0.1", 53),
    ("60.200.1.1", 0),
]
"""Endpoints to which no public peer may make a node send."""
THIRD_PARTIES = PUBLIC + FORBIDDEN

assert len(SOURCES) == SOURCE_COUNT
assert len(SENDERS) == SENDER_COUNT
assert len(KEYS) == KEY_COUNT
