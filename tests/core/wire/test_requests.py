"""Request arguments, byte by byte."""

from __future__ import annotations

from kademlua.core.contact import Contact
from kademlua.core.wire import requests

KEY = b"k" * 20
FOUR = Contact("127.0.0.1", 8001, b"a" * 20)


def test_arguments_are_encoded_exactly():
    assert requests.encode_key_args(KEY) == b"20:" + KEY
    assert requests.encode_findvalue_args(KEY, 50) == b"20:" + KEY + b"i50e"
    assert (
        requests.encode_store_args(requests.StoreArguments(KEY, b"5:hello", 60))
        == b"20:" + KEY + b"5:helloi0e0:i60e"
    )
    assert (
        requests.encode_store_args(requests.StoreArguments(KEY, b"li7ee", 1, overwrite=True))
        == b"20:" + KEY + b"li7eei1e0:i1e"
    )
    replicated = requests.encode_store_args(requests.StoreArguments(KEY, b"i7e", 9, owner=FOUR))
    assert replicated == b"20:" + KEY + b"i7ei0e0:i9ed5:owner26:" + FOUR.compact + b"e"
    assert requests.encode_any_args(["a", 1, [b"b"]]) == b"1:ai1el1:be"
    assert requests.encode_any_args([]) == b""
