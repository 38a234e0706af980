"""Validation of request fields, and lossless JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua import Contact
from kademlua.api.fields import (
    BadRequest,
    Fields,
    stored_value_from_json,
)
from kademlua.api.json_form import stored_value_to_json
from kademlua.core.json_codec import value_from_json, value_to_json
from kademlua.storage.export_format import StoredValue

VALUES = st.recursive(
    st.integers(-(10**40), 10**40) | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(), inner, max_size=4),
    max_leaves=12,
)
HELD = StoredValue(bytes(20), Contact("192.0.2.1", 8001, b"i" * 20), b"5:value", False, 12.5)


def through_json(value):
    return json.loads(json.dumps(value))


@given(VALUES)
def test_value_survives_json(value):
    assert value_from_json(through_json(value_to_json(value))) == value
    assert Fields({"value": value_to_json(value)}).value() == value


def test_stored_value_survives_json():
    assert stored_value_from_json(through_json(stored_value_to_json(HELD))) == HELD


@pytest.mark.parametrize(
    ("read", "given", "complaint"),
    [
        (Fields.key, {}, "'key' is missing"),
        (Fields.key, {"key": 3}, "'key' is a text"),
        (Fields.key, {"key": "ab"}, "'key' is 40 hex digits"),
        (Fields.key, {"key": "ü" * 40}, "'key' is 40 hex digits"),
        (Fields.value, {"value": None}, "'value' is invalid"),
        (Fields.value, {"value": {"hex": "f"}}, "'value' is invalid"),
        (Fields.value, {"value": {"hex": 1}}, "'hex' must be a string"),
        (Fields.value, {"value": {"items": 1}}, "'items' must be a list of pairs"),
        (Fields.value, {"value": {"items": [[1, 1]]}}, "must be distinct byte strings"),
        (Fields.value, {"value": {"items": [["a", 1], ["a", 2]]}}, "must be distinct"),
        (Fields.value, {"value": json.loads("[" * 99 + "]" * 99)}, "nested too deeply"),
        (lambda fields: fields.seconds("ttl"), {"ttl": "1"}, "'ttl' is a number of seconds"),
        (lambda fields: fields.seconds("ttl"), {"ttl": True}, "'ttl' is a number of seconds"),
        (lambda fields: fields.seconds("ttl"), {"ttl": 10**400}, "'ttl' is a number of seconds"),
        (lambda fields: fields.count("n", 1), {"n": 0}, "'n' is a number from 1 on"),
        (lambda fields: fields.count("n", 1), {"n": 1.5}, "'n' is a number from 1 on"),
        (lambda fields: fields.flag("f"), {"f": 1}, "'f' is true or false"),
        (Fields.endpoint, {"address": "no host", "port": 1}, "no address"),
        (Fields.endpoint, {"address": "::1", "port": "1"}, "'port' is a number"),
        (Fields.endpoint, {"address": "::1", "port": 0}, "a port is 1 to 65535"),
        (Fields.stored_values, {"values": 3}, "'values' is a list"),
        (Fields.stored_values, {"values": [3]}, "an object"),
        (Fields.stored_values, {"values": [stored_value_to_json(HELD) | {"owner": 3}]}, "no owner"),
        (
            Fields.stored_values,
            {"values": [stored_value_to_json(HELD) | {"remaining_seconds": None}]},
            "'remaining_seconds' is a number",
        ),
        (Fields.stored_values, {"values": [{"key": "00" * 20}]}, "'owner' is missing"),
        (Fields.reject_unknown, {"colour": 1}, "no field 'colour'"),
    ],
)
def test_invalid_field_is_named(read, given, complaint):
    with pytest.raises(BadRequest, match=complaint):
        read(Fields(given))


def test_optional_fields_have_defaults():
    fields = Fields({})
    assert fields.seconds("ttl") is None
    assert fields.count("answers", 3) == 3
    assert fields.flag("overwrite") is False
    assert "key" not in fields
    fields.reject_unknown()
