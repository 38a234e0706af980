"""Kademlua: a Kademlia distributed hash table on gevent greenlets.

>>> import kademlua
>>> with kademlua.Node(port=8003, bootstrap=[("127.0.0.1", 8001)]) as node:
...     node.add(kademlua.sha1("key"), b"value")
...     for answer in node.find_value(kademlua.sha1("key")):
...         print(answer.contact, answer.values)
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING

from kademlua.core.contact import Contact, ContactPool, Endpoint
from kademlua.core.errors import (
    BadArguments,
    CallInterrupted,
    CasMismatch,
    CryptoUnavailable,
    KademluaError,
    KeyFileError,
    NodeClosed,
    NothingToRemove,
    NotJoined,
    ParamsError,
    PassphraseRequired,
    RecordExpired,
    RecordForged,
    RecordRefused,
    RecordStale,
    RpcFailed,
    RpcTimeout,
    StorageError,
    StoreFailed,
    StoreRefused,
    TooManyCalls,
    WireError,
)
from kademlua.core.ids import sha1
from kademlua.core.lookup.find_budget import FindLimits
from kademlua.core.objects.errors import (
    BlockMissing,
    MalformedObject,
    ObjectError,
    ObjectNotFound,
    ObjectRefused,
)
from kademlua.core.objects.report import ObjectReport
from kademlua.core.params import Params
from kademlua.core.results import (
    Answer,
    BulkReport,
    FindResult,
    Mail,
    Pong,
    Publication,
    PublicationStore,
    PutResult,
    StoreReport,
    StoreResult,
)
from kademlua.core.values.records import SignedRecord
from kademlua.core.watch.changes import Change, ChangeKind
from kademlua.crypto.key_files import read_network_key
from kademlua.crypto.mail import mail_address
from kademlua.crypto.secret import Secret
from kademlua.crypto.signing import Signer, SigningKey
from kademlua.node.node import Node
from kademlua.node.options import NodeOptions
from kademlua.objects.published import PublishedObject
from kademlua.objects.reader import ObjectReader

if TYPE_CHECKING:
    from kademlua.bridges.async_node import AsyncNode
    from kademlua.bridges.threaded_node import ThreadedNode

__version__ = "0.1.0"

# A library logs nothing unless the program configures logging.
logging.getLogger(__name__).addHandler(logging.NullHandler())

# Loaded on first access, so that gevent programs do not import asyncio.
_BRIDGES = {"AsyncNode": "async_node", "ThreadedNode": "threaded_node"}


def __getattr__(name: str) -> type[AsyncNode] | type[ThreadedNode]:
    if name not in _BRIDGES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"kademlua.bridges.{_BRIDGES[name]}")
    bridge: type[AsyncNode] | type[ThreadedNode] = getattr(module, name)
    return bridge


__all__ = [
    "Answer",
    "AsyncNode",
    "BadArguments",
    "BlockMissing",
    "BulkReport",
    "CallInterrupted",
    "CasMismatch",
    "Change",
    "ChangeKind",
    "Contact",
    "ContactPool",
    "CryptoUnavailable",
    "Endpoint",
    "FindLimits",
    "FindResult",
    "KademluaError",
    "KeyFileError",
    "Mail",
    "MalformedObject",
    "Node",
    "NodeClosed",
    "NodeOptions",
    "NotJoined",
    "NothingToRemove",
    "ObjectError",
    "ObjectNotFound",
    "ObjectReader",
    "ObjectRefused",
    "ObjectReport",
    "Params",
    "ParamsError",
    "PassphraseRequired",
    "Pong",
    "Publication",
    "PublicationStore",
    "PublishedObject",
    "PutResult",
    "RecordExpired",
    "RecordForged",
    "RecordRefused",
    "RecordStale",
    "RpcFailed",
    "RpcTimeout",
    "Secret",
    "SignedRecord",
    "Signer",
    "SigningKey",
    "StorageError",
    "StoreFailed",
    "StoreRefused",
    "StoreReport",
    "StoreResult",
    "ThreadedNode",
    "TooManyCalls",
    "WireError",
    "mail_address",
    "read_network_key",
    "sha1",
]
