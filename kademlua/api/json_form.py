"""The JSON form of operation results, shared by the control socket, HTTP and ``--json``.

Ids and keys are 40 hex digits and durations are in seconds. ``core.json_codec`` defines the form
of values and contacts. The OpenAPI document of the HTTP API is generated from these types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NotRequired, TypedDict

from kademlua.core import ids
from kademlua.core.contact import Contact
from kademlua.core.histograms import Histogram
from kademlua.core.json_codec import ContactJson, contact_to_json, value_to_json
from kademlua.core.results import Answer, Mail, Publication, StoreReport
from kademlua.core.watch.changes import Change
from kademlua.core.wire import bencoding
from kademlua.node.node import Node
from kademlua.storage.export_format import StoredValue


class RefusalJson(ContactJson):
    """A node that refused a store."""

    reason: str


class StoreReportJson(TypedDict):
    """The result of a store or remove at each node."""

    key: str
    acknowledged: list[ContactJson]
    refused: list[RefusalJson]
    timed_out: list[ContactJson]


class AnswerJson(TypedDict):
    """The values that one node returned."""

    contact: ContactJson
    values: list[Any]


class FoundValuesJson(TypedDict):
    """The values of a key."""

    key: str
    answers: list[AnswerJson]


class TracedQueryJson(ContactJson):
    """A query of a traced lookup; times are in seconds since the start of the lookup."""

    responder: str | None
    """Id of the node that reported the contact first; None for the routing table."""
    hop: int
    """1 for contacts of the routing table, else one more than that of the responder."""
    queried: float
    ended: float | None
    outcome: str
    """``answered``, ``failed``, or ``left`` if no reply arrived before the lookup ended."""
    reported: int
    """The number of contacts in the reply."""
    new: int
    """The number of contacts that no earlier reply contained."""


class LookupTraceJson(TypedDict):
    """The queries of a lookup in sending order, and its duration."""

    node: ContactJson
    seconds: float
    queries: list[TracedQueryJson]


class LookupJson(TypedDict):
    """The closest contacts to a key, the closest first, and the duration of the lookup."""

    key: str
    seconds: float
    contacts: list[ContactJson]
    trace: NotRequired[LookupTraceJson]


class StoredValueJson(TypedDict):
    """A stored value with its owner and remaining lifetime."""

    key: str
    owner: ContactJson
    value: Any
    from_owner: bool
    remaining_seconds: float
    seq: int


class PublicationJson(TypedDict):
    """A published value and its TTL."""

    key: str
    value: Any
    ttl: int


class ChangeJson(TypedDict):
    """A change of a watched key."""

    kind: str
    owner: ContactJson | None
    value: Any


class MailJson(TypedDict):
    """A message to one reader."""

    sender: str
    sent_at: float
    value: Any


class PongJson(ContactJson):
    """A contact that answered a ping."""

    rtt_seconds: float


class ContactDetailsJson(ContactJson):
    """A contact of the routing table; ``rtt_seconds`` is None until a round trip was measured."""

    bucket: int
    last_seen_seconds: float | None
    is_fresh: bool
    rtt_seconds: float | None


def report_to_json(key: bytes, report: StoreReport) -> StoreReportJson:
    """Return which nodes acknowledged a store, refused it, or did not answer."""
    return {
        "key": key.hex(),
        "acknowledged": [contact_to_json(each) for each in report.acknowledged],
        "refused": [{**contact_to_json(each), "reason": reason} for each, reason in report.refused],
        "timed_out": [contact_to_json(each) for each in report.timed_out],
    }


def answers_to_json(key: bytes, answers: Iterable[Answer]) -> FoundValuesJson:
    """Return the values that each node returned for a key."""
    return {
        "key": key.hex(),
        "answers": [
            {"contact": contact_to_json(each.contact), "values": value_to_json(each.values)}
            for each in answers
        ],
    }


def lookup_to_json(key: bytes, contacts: Iterable[Contact], seconds: float) -> LookupJson:
    """Return the closest contacts to a key and the duration of the lookup."""
    return {
        "key": key.hex(),
        "seconds": round(seconds, 6),
        "contacts": [contact_to_json(each) for each in contacts],
    }


def stored_value_to_json(stored_value: StoredValue) -> StoredValueJson:
    """Return a stored value with its owner and remaining lifetime."""
    return {
        "key": stored_value.key.hex(),
        "owner": contact_to_json(stored_value.owner),
        "value": value_to_json(bencoding.decode(stored_value.encoded)),
        "from_owner": stored_value.from_owner,
        "remaining_seconds": round(stored_value.remaining_seconds, 6),
        "seq": stored_value.seq,
    }


def change_to_json(change: Change) -> ChangeJson:
    """Return a change of a watched key; its kind is that of a ``ChangeKind``."""
    owner = None if change.owner is None else contact_to_json(change.owner)
    return {"kind": change.kind.value, "owner": owner, "value": value_to_json(change.value)}


def mail_to_json(mail: Mail) -> MailJson:
    """Return a message; ``sent_at`` is in seconds since 1970, by the sender's clock."""
    return {
        "sender": mail.sender.hex(),
        "sent_at": mail.sent_at,
        "value": value_to_json(mail.value),
    }


def publication_to_json(publication: Publication) -> PublicationJson:
    """Return a published value."""
    return {
        "key": publication.key.hex(),
        "value": value_to_json(bencoding.decode(publication.encoded)),
        "ttl": publication.ttl,
    }


def ping_to_json(contact: Contact, seconds: float) -> PongJson:
    """Return the contact that answered a ping and its round-trip time."""
    return {**contact_to_json(contact), "rtt_seconds": round(seconds, 6)}


def contact_details_to_json(node: Node, contact: Contact, now: float) -> ContactDetailsJson:
    """Return what a node's routing table records about a contact."""
    entry = node.table.get(contact.id)
    idle = None if entry is None else max(now - entry.last_seen, 0.0)
    rtt = None if entry is None or entry.rtt.srtt < 0 else round(entry.rtt.srtt, 6)
    return {
        **contact_to_json(contact),
        "bucket": ids.bucket_number(node.id, contact.id),
        "last_seen_seconds": None if idle is None else round(idle, 3),
        "is_fresh": idle is not None and idle < node.params.freshness_window,
        "rtt_seconds": rtt,
    }


def histograms_to_json(by_name: Mapping[str, Histogram]) -> dict[str, Any]:
    """Return bounds, counts and totals; the last count is for values above all bounds."""
    return {
        name: {
            "bounds": [bound for bound, _ in histogram.cumulative_buckets()[:-1]],
            "counts": histogram.counts,
            "total": round(histogram.total, 6),
        }
        for name, histogram in by_name.items()
    }
