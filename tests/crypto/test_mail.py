"""Mail: who can open a message, what the reader learns, and what is ignored."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua import Signer, SigningKey, mail_address
from kademlua.crypto.mail import MailReader, OpenedMail, mailbox_key, max_message_bytes, seal
from kademlua.crypto.padding import pad
from tests.support import reference_aead, reference_hpke

ALICE, BOB, EVE = (SigningKey(bytes([each]) * 32) for each in b"abe")
ADDRESS = mail_address(BOB)
READER = MailReader(BOB)
LABEL = b"kademlua 1.1 mail"
NOW = 1_800_000_000_000_000


class Impersonator:
    """Signs with Eve's key in the name of Alice."""

    public_key = ALICE.public_key

    def sign(self, message: bytes) -> bytes:
        return EVE.sign(message)


class Forwarder:
    """Shows a signature of Alice that was made for another message."""

    public_key = ALICE.public_key

    def __init__(self, signature: bytes) -> None:
        self.signature = signature

    def sign(self, message: bytes) -> bytes:
        return self.signature


def sealed_letter(letter: bytes, address: bytes = ADDRESS) -> bytes:
    """Encrypt any plaintext."""
    return reference_hpke.seal(b"e" * 32, address, LABEL, letter)


def letter(
    signer: Signer, message: bytes, *, signed_for: bytes = ADDRESS, signed_at: int = NOW
) -> bytes:
    """The plaintext of a message that is sent now."""
    signature = signer.sign(LABEL + signed_for + signed_at.to_bytes(8) + message)
    return signer.public_key + signature + NOW.to_bytes(8) + message


@given(message=st.binary(max_size=3_000))
def test_only_the_reader_opens_it_and_learns_the_sender(message: bytes) -> None:
    sealed = seal(ADDRESS, message, ALICE, NOW)
    assert READER.open(sealed) == OpenedMail(ALICE.public_key, NOW, message)
    assert MailReader(EVE).open(sealed) is None
    assert MailReader(ALICE).open(sealed) is None  # not even the sender


@given(message=st.binary(max_size=300), data=st.data())
def test_changed_mail_is_not_opened(message: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal(ADDRESS, message, ALICE, NOW))
    at = data.draw(st.integers(0, len(sealed) - 1))
    assert READER.open(bytes(sealed[:at])) is None
    assert READER.open(bytes(sealed) + b"\0") is None
    sealed[at] ^= data.draw(st.integers(1, 255))
    assert READER.open(bytes(sealed)) is None


def test_bit_that_x25519_ignores_counts() -> None:
    sealed = bytearray(seal(ADDRESS, b"hi", ALICE, NOW))
    sealed[31] ^= 128
    assert READER.open(bytes(sealed)) is None


@given(sealed=st.binary(max_size=400))
def test_random_bytes_are_not_opened(sealed: bytes) -> None:
    assert READER.open(sealed) is None


@pytest.mark.parametrize("value", [None, 5, "text", [], {b"k": b"v"}, b"", bytes(500)])
def test_what_is_no_mail_is_not_opened(value: Any) -> None:
    assert READER.open(value) is None


def test_nobody_signs_for_another_sender() -> None:
    assert READER.open(seal(ADDRESS, b"I owe you", Impersonator(), NOW)) is None


def test_reader_cannot_pass_it_on_as_sent_to_another() -> None:
    """Bob has a message of Alice, and seals the same with her signature to Eve."""
    signature = ALICE.sign(LABEL + ADDRESS + NOW.to_bytes(8) + b"meet me")
    assert READER.open(seal(ADDRESS, b"meet me", Forwarder(signature), NOW)) is not None
    forwarded = seal(mail_address(EVE), b"meet me", Forwarder(signature), NOW)
    assert MailReader(EVE).open(forwarded) is None


def test_time_is_signed() -> None:
    signature = ALICE.sign(LABEL + ADDRESS + NOW.to_bytes(8) + b"now")
    assert READER.open(seal(ADDRESS, b"now", Forwarder(signature), NOW + 1)) is None


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        bytes(64),
        pad(b""),
        pad(letter(ALICE, b"")[:-1]),
        letter(ALICE, b"not padded"),
        pad(letter(ALICE, b"other time", signed_at=NOW - 1)),
        pad(letter(ALICE, b"other reader", signed_for=mail_address(EVE))),
        pad(bytes(32) + letter(ALICE, b"no public key")[32:]),
    ],
)
def test_malformed_letter_is_ignored(plaintext: bytes) -> None:
    assert READER.open(sealed_letter(plaintext)) is None


def test_time_beyond_63_bits_is_ignored() -> None:
    assert READER.open(seal(ADDRESS, b"late", ALICE, (1 << 63) - 1)) is not None
    assert READER.open(seal(ADDRESS, b"late", ALICE, 1 << 63)) is None


def test_well_formed_letter_of_the_reference_is_opened() -> None:
    assert READER.open(sealed_letter(pad(letter(ALICE, b"hi")))) is not None


def test_equal_messages_look_different() -> None:
    assert len({seal(ADDRESS, b"the same", ALICE, NOW)[:32] for _ in range(100)}) == 100


def test_few_lengths_are_seen() -> None:
    lengths = {len(seal(ADDRESS, bytes(size), ALICE, NOW)) for size in range(1_000)}
    assert len(lengths) <= 50


@given(limit=st.integers(0, 20_000))
def test_largest_message_fits_and_a_larger_one_does_not(limit: int) -> None:
    size = max_message_bytes(limit)
    if size:
        assert len(seal(ADDRESS, bytes(size), ALICE, NOW)) <= limit
    assert len(seal(ADDRESS, bytes(size + 1), ALICE, NOW)) > limit


def test_address_is_the_public_key_of_a_derived_key() -> None:
    private_key = reference_aead.hkdf_sha256(b"b" * 32, b"kademlua 1.1 mail private key", 32)
    assert mail_address(BOB) == reference_hpke.x25519(private_key, reference_hpke.BASE_POINT)
    assert mail_address(BOB) != BOB.public_key


@pytest.mark.parametrize("address", [b"", b"a" * 31, b"a" * 33])
def test_address_of_another_size_is_refused(address: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        mailbox_key(address)


def test_address_that_is_no_bytes_is_refused() -> None:
    address: Any = ADDRESS.hex()
    with pytest.raises(TypeError, match="not str"):
        mailbox_key(address)


@pytest.mark.parametrize("address", [bytes(32), b"\x01" + bytes(31)])
def test_address_with_which_nothing_is_secret_is_refused(address: bytes) -> None:
    with pytest.raises(ValueError, match="not a mail address"):
        seal(address, b"hi", ALICE, NOW)


def test_reference_agrees_with_the_rfc() -> None:
    """RFC 9180, appendix A.1.1."""
    ephemeral = bytes.fromhex("52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736")
    public = bytes.fromhex("3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d")
    shared = reference_hpke.shared_secret(ephemeral, public)
    assert shared.hex() == "fe0e18c9f024ce43799ae393c7e8fe8fce9d218875e8227b0187c04e7d2ea1fc"
    info = b"Ode on a Grecian Urn"
    key, nonce = reference_hpke.key_and_nonce(shared, info, reference_hpke.AES_128_GCM)
    assert key.hex() == "4531685d41d65f03dc48f6b8302c05b0"
    assert nonce.hex() == "56d890e5accaaf011cff4b7d"
