"""What a lookup on the network sends, and how it proceeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from kademlua.core.contact import Contact
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.reasons import Purpose
from kademlua.lookup.early_requests import EarlyRequests

ReplyReader = Callable[[Contact, list[Any]], list[Contact]]
"""Takes a contact and its reply; returns the contacts in the reply or raises WireError."""


class LookupQuery(NamedTuple):
    """The request that a lookup sends to each contact, and the function that reads a reply."""

    target: bytes
    rpc_name: str
    args: bytes
    """The RPC's arguments, bencoded one after another."""
    read_reply: ReplyReader
    fallback_args: bytes = b""
    """Arguments of the retransmission to a 1.0 contact, if they differ."""


@dataclass(slots=True, kw_only=True)  # not frozen: making one would take four times as long
class SearchOptions:
    """How a lookup proceeds.

    ``certain_alpha``, ``saves_queries``, ``stop_when`` and ``awaits_lost`` are those of
    ``LookupInput``.
    """

    purpose: Purpose
    """The entry of ``Stats.calls_by_purpose`` that counts the queries."""
    k: int | None = None
    """Contacts to find, default ``Params.k``."""
    alpha: int | None = None
    """Queries in flight, default ``Params.alpha``."""
    certain_alpha: int = 0
    saves_queries: bool = False
    stop_when: Callable[[Lookup], bool] | None = None
    """Ignored on several paths."""
    awaits_lost: Callable[[], bool] = lambda: False
    path_count: int = 1
    """Disjoint paths."""
    deadline: float | None = None
    """When the lookup ends with what it has, default ``Params.find_timeout`` from now."""
    remembers_contacts: bool = False
    """Whether the contacts that reply become recent ones, with which later lookups start. Not for
    lookups of upkeep: they are rare, or at ids of the node, and a node at rest remembers none."""
    early: EarlyRequests | None = None
    """Sends other requests in place of queries. Only on a single path."""
