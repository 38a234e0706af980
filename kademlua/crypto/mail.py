"""Mail: a signed message that only one reader can open.

``docs/security.md`` names the constructions and says what they do not hide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from kademlua.core.ids import sha1
from kademlua.crypto.key_derivation import Purpose, derive_key
from kademlua.crypto.library import exceptions, primitives
from kademlua.crypto.padding import max_unpadded_size, pad, unpad
from kademlua.crypto.signing import Signer, SigningKey, verify

ADDRESS_BYTES: Final = 32
_LABEL: Final = b"kademlua 1.1 mail"
"""The ``info`` of HPKE, and the beginning of what is hashed and of what is signed."""
_ENCAPSULATION_BYTES: Final = 32 + 16
"""The ephemeral public key before a ciphertext, and the tag behind it."""
_PUBLIC_KEY_END: Final = 32
_SIGNATURE_END: Final = _PUBLIC_KEY_END + 64
_TIME_END: Final = _SIGNATURE_END + 8
"""Where the parts of a letter end: public key, signature, time; the message follows."""
_MAX_MICROSECONDS: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class OpenedMail:
    """What a reader finds in a sealed message."""

    sender: bytes
    """The ed25519 public key of the sender, who signed the message for this reader."""
    microseconds: int
    """When the message was sealed, by the sender's clock, since 1970."""
    message: bytes


def mail_address(signing_key: SigningKey) -> bytes:
    """Return the address at which the holder of a signing key gets mail, 32 bytes.

    It is an X25519 public key (RFC 7748). Its private key is derived from the signing key.

    Raises:
        CryptoUnavailable: ``cryptography`` is not installed.
    """
    address: bytes = _private_key(signing_key).public_key().public_bytes_raw()
    return address


def mailbox_key(address: bytes) -> bytes:
    """Return the key under which the mail for an address is stored.

    Raises:
        TypeError, ValueError: The address is invalid.
    """
    if not isinstance(address, bytes):
        raise TypeError(f"a mail address is {ADDRESS_BYTES} bytes, not {type(address).__name__}")
    if len(address) != ADDRESS_BYTES:
        raise ValueError(f"a mail address has {ADDRESS_BYTES} bytes, not {len(address)}")
    return sha1(_LABEL + address)


def seal(address: bytes, message: bytes, signer: Signer, microseconds: int) -> bytes:
    """Sign a message, and encrypt it so that only the holder of the address can open it.

    Args:
        microseconds: The time since 1970, below 2^63.

    Raises:
        ValueError: The address is no public key of X25519.
        CryptoUnavailable: ``cryptography`` is not installed.
    """
    time = microseconds.to_bytes(8)
    signature = signer.sign(_signed_bytes(address, time, message))
    letter = pad(signer.public_key + signature + time + message)
    x25519 = primitives("asymmetric.x25519")
    try:
        public_key = x25519.X25519PublicKey.from_public_bytes(address)
        sealed: bytes = _suite().encrypt(letter, public_key, _LABEL)
    except ValueError:  # a point of low order, with which nothing is secret
        raise ValueError("this is not a mail address") from None
    return sealed


def max_message_bytes(limit: int) -> int:
    """Return the size of the largest message whose sealed form has at most ``limit`` bytes."""
    return max(0, max_unpadded_size(limit - _ENCAPSULATION_BYTES) - _TIME_END)


class MailReader:
    """Opens the mail for the address of a signing key."""

    __slots__ = ("_invalid_tag", "_private_key", "_suite", "address")

    def __init__(self, signing_key: SigningKey) -> None:
        """Derive the address; CryptoUnavailable if ``cryptography`` is not installed."""
        self.address = mail_address(signing_key)
        self._private_key = _private_key(signing_key)
        self._suite = _suite()
        self._invalid_tag: type[Exception] = exceptions().InvalidTag

    def open(self, sealed: Any) -> OpenedMail | None:
        """Return what ``seal`` sealed for this address; None for anything else."""
        if type(sealed) is not bytes:
            return None
        try:
            padded: bytes = self._suite.decrypt(sealed, self._private_key, _LABEL)
        except (self._invalid_tag, ValueError):
            return None
        letter = unpad(padded)
        if letter is None or len(letter) < _TIME_END:
            return None
        sender, signature = letter[:_PUBLIC_KEY_END], letter[_PUBLIC_KEY_END:_SIGNATURE_END]
        time, message = letter[_SIGNATURE_END:_TIME_END], letter[_TIME_END:]
        microseconds = int.from_bytes(time)
        if microseconds > _MAX_MICROSECONDS:
            return None
        if not verify(sender, signature, _signed_bytes(self.address, time, message)):
            return None
        return OpenedMail(sender, microseconds, message)


def _signed_bytes(address: bytes, time: bytes, message: bytes) -> bytes:
    """Return what the sender signs: it names the reader, who cannot pass it on as another's."""
    return _LABEL + address + time + message


def _private_key(signing_key: SigningKey) -> Any:
    x25519 = primitives("asymmetric.x25519")
    return x25519.X25519PrivateKey.from_private_bytes(derive_key(signing_key.secret, Purpose.MAIL))


@cache
def _suite() -> Any:
    """Return the suite of HPKE, in the base mode (RFC 9180)."""
    hpke = primitives("hpke")
    return hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
