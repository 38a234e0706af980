"""Signing keys, their files, and behaviour without the crypto extra."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from kademlua import CryptoUnavailable, KeyFileError, SigningKey
from kademlua.crypto import signing

# RFC 8032, section 7.1, test 2.
SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_a_key_signs() -> None:
    key = SigningKey(SECRET)
    assert key.public_key == PUBLIC
    assert key.sign(b"\x72") == SIGNATURE
    assert signing.verify(PUBLIC, SIGNATURE, b"\x72")
    assert not signing.verify(PUBLIC, SIGNATURE, b"\x73")
    assert not signing.verify(b"\xff" * 32, SIGNATURE, b"\x72")
    assert SECRET.hex() not in repr(key)


def test_generated_keys_differ() -> None:
    assert SigningKey.generate().public_key != SigningKey.generate().public_key


@pytest.mark.parametrize(("secret", "error"), [(b"short", ValueError), ("x" * 32, TypeError)])
def test_invalid_key_is_refused(secret: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        SigningKey(secret)


def test_a_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "key"
    before = os.umask(0)
    try:
        SigningKey(SECRET).save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SigningKey.load(path).public_key == PUBLIC
    with pytest.raises(KeyFileError, match="File exists"):
        SigningKey.generate().save(path)
    assert SigningKey.load(path).public_key == PUBLIC


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    SigningKey(SECRET).save(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="others can"):
        SigningKey.load(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"signing-key",
        b"signing-key xyz",
        b"signing-key 0000",
        b"network-key " + b"00" * 32,
        b"00" * 32,
        b"\xff \xff",
        b"signing-key " + b"00" * 33,
        bytes(5_000),
    ],
)
def test_a_file_that_holds_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="not the file of a signing key"):
        SigningKey.load(path)


def test_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name, why in (("pipe", "not a file"), ("", "directory"), ("missing", "No such file")):
        with pytest.raises(KeyFileError, match=why):
            SigningKey.load(tmp_path / name)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    for use in (
        signing.require_crypto,
        SigningKey.generate,
        lambda: signing.verify(PUBLIC, b"", b""),
    ):
        with pytest.raises(CryptoUnavailable, match=r"pip install 'cryptography>=47'"):
            use()
