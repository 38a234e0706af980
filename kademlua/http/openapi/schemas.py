"""JSON Schemas of the API's replies."""

from __future__ import annotations

from typing import Any


def _object_schema(properties: dict[str, Any], *, additional: Any = False) -> dict[str, Any]:
    """Return the schema of an object with all of these properties, and others as ``additional``
    says."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": additional,
    }


def _list_schema(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _schema_ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


ID = {"type": "string", "pattern": "^[0-9a-fA-F]{40}$"}
_COUNT = {"type": "integer", "minimum": 0}
_SECONDS = {"type": "number", "minimum": 0}
_COUNTS = {"type": "object", "additionalProperties": _COUNT}
_TEXT = {"type": "string"}
_CONTACT_FIELDS = {
    "id": ID,
    "address": _TEXT,
    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
}
_MEMBER = _object_schema(
    {
        "id": ID,
        "port": _CONTACT_FIELDS["port"],
        "joined": {"type": "boolean"},
        "is_control": {"type": "boolean"},
    }
)

SCHEMAS: dict[str, Any] = {
    "Value": {
        "description": 'Text, integers, lists and objects of them. {"hex": digits} represents bytes'
        ' that are not UTF-8. {"items": [[key, value], ...]} represents a dictionary with'
        " such keys, or whose only key is hex or items.",
        "oneOf": [
            _TEXT,
            {"type": "integer"},
            _list_schema(_schema_ref("Value")),
            {"type": "object", "additionalProperties": _schema_ref("Value")},
        ],
    },
    "Contact": _object_schema(_CONTACT_FIELDS),
    "Problem": _object_schema({"title": _TEXT, "status": {"type": "integer"}}, additional=_TEXT),
    "Found": _object_schema(
        {
            "key": ID,
            "answers": _list_schema(
                _object_schema(
                    {
                        "contact": _schema_ref("Contact"),
                        "values": _list_schema(_schema_ref("Value")),
                    }
                )
            ),
        }
    ),
    "Report": _object_schema(
        {
            "key": ID,
            "acknowledged": _list_schema(_schema_ref("Contact")),
            "refused": _list_schema(_object_schema(_CONTACT_FIELDS | {"reason": _TEXT})),
            "timed_out": _list_schema(_schema_ref("Contact")),
        }
    ),
    "Looked": _object_schema(
        {"key": ID, "seconds": _SECONDS, "contacts": _list_schema(_schema_ref("Contact"))}
    ),
    "Contacts": _object_schema(
        {
            "node": _schema_ref("Contact"),
            "buckets": _list_schema(
                _object_schema(
                    {
                        "bucket": _COUNT,
                        "contacts": _list_schema(
                            _object_schema(
                                _CONTACT_FIELDS
                                | {
                                    "bucket": _COUNT,
                                    "last_seen_seconds": {"type": ["number", "null"]},
                                    "is_fresh": {"type": "boolean"},
                                    "rtt_seconds": {"type": ["number", "null"]},
                                }
                            )
                        ),
                        "replacements": _COUNT,
                    }
                )
            ),
        }
    ),
    "Stored": _object_schema(
        {
            "values": _COUNT,
            "bytes": _COUNT,
            "keys": _list_schema(
                _object_schema(
                    {"key": ID, "values": _COUNT, "bytes": _COUNT, "remaining_seconds": _SECONDS}
                )
            ),
            "next": {"anyOf": [ID, {"type": "null"}]},
        }
    ),
    "Publications": _object_schema(
        {
            "published": _list_schema(_object_schema({"key": ID, "bytes": _COUNT, "ttl": _COUNT})),
            "next": {"anyOf": [ID, {"type": "null"}]},
        }
    ),
    "Member": _MEMBER,
    "Swarm": _object_schema({"nodes": _list_schema(_schema_ref("Member"))}),
    "Stats": _object_schema(
        {
            "node": _schema_ref("Contact"),
            "joined": {"type": "boolean"},
            "seconds": _SECONDS,
            "calls": _COUNTS,
            "requests": _COUNTS,
            "dropped": _COUNTS,
            "contacts": _COUNT,
            "values": _COUNT,
        },
        additional={"anyOf": [{"type": "number"}, _COUNTS]},
    ),
}
