"""Kademlua: a Kademlia distributed hash table on gevent greenlets.

>>> import kademlua
>>> with kademlua.Node(port=8003, bootstrap=[("127.0.0.1", 8001)]) as node:
...     node.add(kademlua.sha1("key"), b"value")
...     for answer in node.find_value(kademlua.sha1("key")):
...         print(answer.contact, answer.values)
"""

import logging

from kademlua.core.contact import Contact, ContactPool, Endpoint
from kademlua.core.errors import (
    KademluaError,
    NodeClosed,
    NotJoined,
    ParamsError,
    RpcFailed,
    RpcRefused,
    RpcTimeout,
    StorageError,
    StoreFailed,
    StoreRefused,
    TooManyCalls,
    WireError,
)
from kademlua.core.ids import sha1
from kademlua.core.params import Params
from kademlua.finding import Answer
from kademlua.node import Node, Pong
from kademlua.placement import StoreReport
from kademlua.publications import Publication, SavedPublications

__version__ = "0.1.0"

# A program that sets up no logging hears nothing, as it should be with a library.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = [
    "Answer",
    "Contact",
    "ContactPool",
    "Endpoint",
    "KademluaError",
    "Node",
    "NodeClosed",
    "NotJoined",
    "Params",
    "ParamsError",
    "Pong",
    "Publication",
    "RpcFailed",
    "RpcRefused",
    "RpcTimeout",
    "SavedPublications",
    "StorageError",
    "StoreFailed",
    "StoreRefused",
    "StoreReport",
    "TooManyCalls",
    "WireError",
    "sha1",
]
