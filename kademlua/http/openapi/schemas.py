"""What the API's answers look like (JSON Schema), for its description."""

from __future__ import annotations

from typing import Any


def _object(properties: dict[str, Any], *, more: Any = False) -> dict[str, Any]:
    """An object that has all of these properties, and others only as ``more`` says."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": more,
    }


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


ID = {"type": "string", "pattern": "^[0-9a-fA-F]{40}$"}
_COUNT = {"type": "integer", "minimum": 0}
_SECONDS = {"type": "number", "minimum": 0}
_COUNTS = {"type": "object", "additionalProperties": _COUNT}
_TEXT = {"type": "string"}
_WHERE = {
    "id": ID,
    "address": _TEXT,
    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
}
_MEMBER = _object(
    {
        "id": ID,
        "port": _WHERE["port"],
        "joined": {"type": "boolean"},
        "is_control": {"type": "boolean"},
    }
)

SCHEMAS: dict[str, Any] = {
    "Value": {
        "description": "Text, whole numbers, lists and objects of them;"
        ' {"hex": digits} stands for bytes that are no UTF-8.',
        "oneOf": [
            _TEXT,
            {"type": "integer"},
            _list(_ref("Value")),
            {"type": "object", "additionalProperties": _ref("Value")},
        ],
    },
    "Contact": _object(_WHERE),
    "Problem": _object({"title": _TEXT, "status": {"type": "integer"}}, more=_TEXT),
    "Found": _object(
        {
            "key": ID,
            "answers": _list(_object({"contact": _ref("Contact"), "values": _list(_ref("Value"))})),
        }
    ),
    "Report": _object(
        {
            "key": ID,
            "acknowledged": _list(_ref("Contact")),
            "refused": _list(_object({"contact": _ref("Contact"), "reason": _TEXT})),
            "silent": _list(_ref("Contact")),
        }
    ),
    "Looked": _object({"target": ID, "seconds": _SECONDS, "contacts": _list(_ref("Contact"))}),
    "Contacts": _object(
        {
            "node": _ref("Contact"),
            "buckets": _list(
                _object(
                    {
                        "index": _COUNT,
                        "contacts": _list(
                            _object(
                                _WHERE
                                | {
                                    "silent_seconds": _SECONDS,
                                    "is_fresh": {"type": "boolean"},
                                    "round_trip_seconds": {"type": ["number", "null"]},
                                }
                            )
                        ),
                        "waiting": _COUNT,
                    }
                )
            ),
        }
    ),
    "Stored": _object(
        {
            "values": _COUNT,
            "bytes": _COUNT,
            "keys": _list(
                _object({"key": ID, "values": _COUNT, "bytes": _COUNT, "ends_in_seconds": _SECONDS})
            ),
            "next": {"anyOf": [ID, {"type": "null"}]},
        }
    ),
    "Publications": _object(
        {
            "published": _list(_object({"key": ID, "bytes": _COUNT, "ttl": _COUNT})),
            "next": {"anyOf": [ID, {"type": "null"}]},
        }
    ),
    "Member": _MEMBER,
    "Swarm": _object({"nodes": _list(_ref("Member"))}),
    "Stats": _object(
        {
            "node": _ref("Contact"),
            "joined": {"type": "boolean"},
            "seconds": _SECONDS,
            "calls": _COUNTS,
            "requests": _COUNTS,
            "dropped": _COUNTS,
            "contacts": _COUNT,
            "values": _COUNT,
        },
        more={"anyOf": [{"type": "number"}, _COUNTS]},
    ),
}
