"""The encryption of private networks: what is accepted, and that no nonce repeats."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.crypto.datagram_cipher import (
    MAX_PADDED_BYTES,
    OVERHEAD_BYTES,
    PADDED_UNIT,
    DatagramCipher,
)
from kademlua.crypto.xaes import NONCE_BYTES, XaesKey
from tests.support import reference_aead

OLD, NEW = b"o" * 32, b"n" * 32
NONCE = b"ABCDEFGHIJKLMNOPQRSTUVWX"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # The first is the published one of C2SP.
        (b"\1" * 32, "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (b"\3" * 32, None),
    ],
)
def test_xaes_is_what_its_document_says(key: bytes, expected: str | None) -> None:
    sealed = XaesKey(key).cipher_for(NONCE[:12]).encrypt(NONCE[12:], b"XAES-256-GCM", None)
    assert sealed == reference_aead.xaes256_gcm(key, NONCE, b"XAES-256-GCM")
    assert expected is None or sealed.hex() == expected


def test_xaes_with_additional_data_is_the_published_one() -> None:
    sealed = (
        XaesKey(b"\3" * 32)
        .cipher_for(NONCE[:12])
        .encrypt(NONCE[12:], b"XAES-256-GCM", b"c2sp.org/XAES-256-GCM")
    )
    assert sealed.hex() == "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"


@given(packet=st.binary(max_size=2_000))
def test_what_one_seals_the_other_opens(packet: bytes) -> None:
    sealed = DatagramCipher([OLD]).seal(packet)
    for keys in ([OLD], [NEW, OLD]):
        receiver = DatagramCipher(keys)
        assert receiver.open(sealed) == packet
        assert receiver.open(sealed) == packet  # its prefix is known now
    assert DatagramCipher([NEW]).open(sealed) is None


@given(packet=st.binary(max_size=1_500))
def test_datagram_equals_that_of_spelled_out_primitives(packet: bytes) -> None:
    sealed = DatagramCipher([OLD]).seal(packet[:200])
    nonce = sealed[:NONCE_BYTES]
    assert sealed == reference_aead.seal_datagram(OLD, nonce, packet[:200])


@given(size=st.integers(0, 3_000))
def test_length_tells_only_its_class(size: int) -> None:
    length = len(DatagramCipher([OLD]).seal(bytes(size)))
    if size + OVERHEAD_BYTES <= MAX_PADDED_BYTES:
        assert length % PADDED_UNIT == 0
        assert 0 <= length - size - OVERHEAD_BYTES < PADDED_UNIT
    else:
        assert length == size + OVERHEAD_BYTES


CHANGES: list[Callable[[bytes, random.Random], bytes]] = [
    lambda datagram, rng: datagram[: rng.randrange(len(datagram))],
    lambda datagram, rng: datagram[rng.randrange(1, len(datagram)) :],
    lambda datagram, rng: datagram + rng.randbytes(rng.randrange(1, 200)),
    lambda datagram, rng: _with_changed_bit(datagram, rng.randrange(8 * len(datagram))),
    lambda datagram, rng: rng.randbytes(len(datagram)),
]
"""Truncated at either end, extended, with one bit changed, random."""


def _with_changed_bit(datagram: bytes, bit: int) -> bytes:
    number = int.from_bytes(datagram) ^ 1 << bit
    return number.to_bytes(len(datagram))


@pytest.mark.parametrize("count", [2_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_no_changed_datagram_is_opened(count: int) -> None:
    rng = random.Random(5)
    sender, receiver = DatagramCipher([OLD]), DatagramCipher([NEW, OLD])
    genuine = [sender.seal(rng.randbytes(size)) for size in range(0, 1_200, 40)]
    assert all(receiver.open(each) is not None for each in genuine)  # all prefixes are known
    for number in range(count):
        changed = CHANGES[number % len(CHANGES)](rng.choice(genuine), rng)
        assert receiver.open(changed) is None


def test_parts_of_two_datagrams_make_no_third() -> None:
    sender = DatagramCipher([OLD])
    first, second = sender.seal(b"one"), sender.seal(b"two")
    for at in (NONCE_BYTES // 2, NONCE_BYTES, len(first) - 16):
        swapped = first[:at] + second[at:]
        opened = DatagramCipher([OLD]).open(swapped)
        # Both have the same first half of the nonce: with that alone, it is the second one.
        assert opened == (b"two" if at == NONCE_BYTES // 2 else None)


def test_holder_of_another_key_cannot_take_over_a_prefix() -> None:
    receiver, peer = DatagramCipher([NEW, OLD]), DatagramCipher([NEW])
    prefix = peer.seal(b"first")[:12]
    key = reference_aead.hkdf_sha256(OLD, b"kademlua 1.1 datagrams", 32)
    nonce = prefix + bytes(12)
    forged = nonce + reference_aead.xaes256_gcm(key, nonce, b"\0\1x")
    assert receiver.open(forged) == b"x"
    assert receiver.open(peer.seal(b"second")) == b"second"


@pytest.mark.parametrize("claimed", [4, 100, 65_535])
def test_false_length_of_a_holder_of_the_key_is_dropped(claimed: int) -> None:
    key = reference_aead.hkdf_sha256(OLD, b"kademlua 1.1 datagrams", 32)
    sealed = NONCE + reference_aead.xaes256_gcm(key, NONCE, claimed.to_bytes(2) + b"abc")
    assert DatagramCipher([OLD]).open(sealed) is None


@pytest.mark.parametrize("plaintext", [b"", b"\0"])
def test_datagram_without_a_length_is_dropped(plaintext: bytes) -> None:
    key = reference_aead.hkdf_sha256(OLD, b"kademlua 1.1 datagrams", 32)
    sealed = NONCE + reference_aead.xaes256_gcm(key, NONCE, plaintext)
    assert DatagramCipher([OLD]).open(sealed) is None


@given(restarts=st.integers(1, 20), sent=st.integers(1, 50))
def test_nonces_do_not_repeat_across_restarts(restarts: int, sent: int) -> None:
    ciphers = [DatagramCipher([OLD]) for _ in range(restarts)]
    nonces = [each.seal(b"the same")[:NONCE_BYTES] for each in ciphers for _ in range(sent)]
    assert len(set(nonces)) == restarts * sent


def test_nonces_do_not_repeat_across_a_fork() -> None:
    cipher = DatagramCipher([OLD])
    cipher.seal(b"before")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # the copy has the same state; no test code may run on here
        os.write(writer, b"".join(cipher.seal(b"the same")[:NONCE_BYTES] for _ in range(100)))
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        sent = pipe.read()
    os.waitpid(child, 0)
    nonces = [sent[at : at + NONCE_BYTES] for at in range(0, len(sent), NONCE_BYTES)]
    nonces += [cipher.seal(b"the same")[:NONCE_BYTES] for _ in range(100)]
    assert len(nonces) == len(set(nonces)) == 200


def test_retired_key_reads_nothing_new() -> None:
    """A node with only the old key reads no datagram that is encrypted with the new one."""
    exchanged = DatagramCipher([NEW, OLD])
    assert DatagramCipher([OLD]).open(exchanged.seal(b"new")) is None
    assert exchanged.open(DatagramCipher([OLD]).seal(b"old")) == b"old"
    assert DatagramCipher([NEW]).open(DatagramCipher([OLD]).seal(b"old")) is None
