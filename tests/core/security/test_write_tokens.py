"""Write tokens: valid for one sender, one key and a limited time."""

import random

import pytest

from kademlua.core.security.write_tokens import ROTATION_INTERVAL, TOKEN_BYTES, WriteTokens

HOME = ("192.0.2.1", 4000)
ID, KEY = b"i" * 20, b"k" * 20


@pytest.fixture
def tokens() -> WriteTokens:
    return WriteTokens(random.Random(1))


def test_token_is_accepted_from_its_recipient(tokens: WriteTokens) -> None:
    token = tokens.issue(HOME, ID, KEY, 1000.0)
    assert len(token) == TOKEN_BYTES
    assert tokens.verify(token, HOME, ID, KEY, 1000.0)
    assert token == tokens.issue(HOME, ID, KEY, 1000.0 + ROTATION_INTERVAL - 1)


@pytest.mark.parametrize(
    ("endpoint", "node_id", "key"),
    [
        (("192.0.2.2", 4000), ID, KEY),
        (("192.0.2.1", 4001), ID, KEY),
        (("192.0.2.14", 400), ID, KEY),
        (HOME, b"j" * 20, KEY),
        (HOME, ID, b"l" * 20),
    ],
)
def test_token_is_refused_from_other_senders(
    tokens: WriteTokens, endpoint: tuple[str, int], node_id: bytes, key: bytes
) -> None:
    token = tokens.issue(HOME, ID, KEY, 0.0)
    assert not tokens.verify(token, endpoint, node_id, key, 0.0)


def test_address_cannot_be_split_into_key_port_and_another_address(tokens: WriteTokens) -> None:
    token = tokens.issue(("2001:470:7abc:1234:2600::", 54321), ID, KEY, 0.0)
    key = KEY + b"54321:2001:470:7abc:"
    assert not tokens.verify(token, ("2600::", 1234), ID, key, 0.0)


@pytest.mark.parametrize("key", [b"", KEY[:19], KEY + b"k", KEY * 2])
def test_only_a_key_of_20_bytes_has_tokens(tokens: WriteTokens, key: bytes) -> None:
    with pytest.raises(ValueError, match="20 bytes"):
        tokens.issue(HOME, ID, key, 0.0)
    assert not tokens.verify(b"x" * TOKEN_BYTES, HOME, ID, key, 0.0)


def test_ipv4_address_and_ipv6_address_with_the_same_bytes_differ(tokens: WriteTokens) -> None:
    token = tokens.issue(HOME, ID, KEY, 0.0)
    assert not tokens.verify(token, ("::c000:201", 4000), ID, KEY, 0.0)
    assert tokens.verify(token, ("::ffff:192.0.2.1", 4000), ID, KEY, 0.0)


@pytest.mark.parametrize("token", [b"", b"x" * 7, b"x" * 8, b"x" * 9, 5, [b"x" * 8], None])
def test_invalid_token_is_refused(tokens: WriteTokens, token: object) -> None:
    assert not tokens.verify(token, HOME, ID, KEY, 0.0)


def test_truncated_or_changed_token_is_refused(tokens: WriteTokens) -> None:
    token = tokens.issue(HOME, ID, KEY, 0.0)
    assert not tokens.verify(token[:-1], HOME, ID, KEY, 0.0)
    assert not tokens.verify(bytes([token[0] ^ 1]) + token[1:], HOME, ID, KEY, 0.0)


@pytest.mark.parametrize("begin", [0.0, 1e6])
@pytest.mark.parametrize("given", range(0, 300, 37))
def test_token_is_valid_for_five_to_ten_minutes(
    tokens: WriteTokens, begin: float, given: int
) -> None:
    tokens.issue(HOME, ID, KEY, begin)
    token = tokens.issue(HOME, ID, KEY, begin + given)
    after = begin + given + ROTATION_INTERVAL
    assert tokens.verify(token, HOME, ID, KEY, after)
    assert not tokens.verify(token, HOME, ID, KEY, after + ROTATION_INTERVAL)


def test_token_is_invalid_after_long_idle_time(tokens: WriteTokens) -> None:
    token = tokens.issue(HOME, ID, KEY, 0.0)
    assert not tokens.verify(token, HOME, ID, KEY, 1e6)
    fresh = tokens.issue(HOME, ID, KEY, 1e6)
    assert fresh != token
    assert tokens.verify(fresh, HOME, ID, KEY, 1e6 + 1)


def test_two_nodes_issue_different_tokens() -> None:
    one, other = (WriteTokens(random.Random(seed)).issue(HOME, ID, KEY, 0.0) for seed in (1, 2))
    assert one != other
