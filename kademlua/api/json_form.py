"""The JSON form of operation results, shared by the control socket, HTTP and ``--json``.

Ids and keys are 40 hex digits and durations are in seconds. ``core.json_codec`` defines the form
of values and contacts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kademlua.core import ids
from kademlua.core.contact import Contact
from kademlua.core.json_codec import contact_to_json, value_to_json
from kademlua.core.results import Answer, StoreReport
from kademlua.core.wire import bencoding
from kademlua.node.node import Node
from kademlua.storage.export_format import StoredValue


def report_to_json(key: bytes, report: StoreReport) -> dict[str, Any]:
    """Return which nodes acknowledged a store, refused it, or did not answer."""
    return {
        "key": key.hex(),
        "acknowledged": [contact_to_json(each) for each in report.acknowledged],
        "refused": [contact_to_json(each) | {"reason": reason} for each, reason in report.refused],
        "timed_out": [contact_to_json(each) for each in report.timed_out],
    }


def answers_to_json(key: bytes, answers: Iterable[Answer]) -> dict[str, Any]:
    """Return the values that each node returned for a key."""
    return {
        "key": key.hex(),
        "answers": [
            {"contact": contact_to_json(each.contact), "values": value_to_json(each.values)}
            for each in answers
        ],
    }


def lookup_to_json(key: bytes, contacts: Iterable[Contact], seconds: float) -> dict[str, Any]:
    """Return the closest contacts to a key and the duration of the lookup."""
    return {
        "key": key.hex(),
        "seconds": round(seconds, 6),
        "contacts": [contact_to_json(each) for each in contacts],
    }


def stored_value_to_json(stored_value: StoredValue) -> dict[str, Any]:
    """Return a stored value with its owner and remaining lifetime."""
    return {
        "key": stored_value.key.hex(),
        "owner": contact_to_json(stored_value.owner),
        "value": value_to_json(bencoding.decode(stored_value.encoded)),
        "from_owner": stored_value.from_owner,
        "remaining_seconds": round(stored_value.remaining_seconds, 6),
    }


def ping_to_json(contact: Contact, seconds: float) -> dict[str, Any]:
    """Return the contact that answered a ping and its round-trip time."""
    return contact_to_json(contact) | {"rtt_seconds": round(seconds, 6)}


def contact_details_to_json(node: Node, contact: Contact, now: float) -> dict[str, Any]:
    """Return what a node's routing table records about a contact.

    ``rtt_seconds`` is None until a round trip was measured.
    """
    entry = node.table.get(contact.id)
    idle_seconds = None if entry is None else max(now - entry.last_seen, 0.0)
    return contact_to_json(contact) | {
        "bucket": ids.bucket_number(node.id, contact.id),
        "last_seen_seconds": None if idle_seconds is None else round(idle_seconds, 3),
        "is_fresh": idle_seconds is not None and idle_seconds < node.params.freshness_window,
        "rtt_seconds": round(entry.rtt.srtt, 6)
        if entry is not None and entry.rtt.srtt >= 0
        else None,
    }
