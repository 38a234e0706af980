"""The test vectors in docs/vectors: see the README there for their form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kademlua import Contact
from kademlua.core.contact import Endpoint
from tests.support.programs import ROOT

Vector = dict[str, Any]
VECTORS = ROOT / "docs" / "vectors"


def load(name: str) -> list[Vector]:
    """Return the vectors of a file."""
    vectors: list[Vector] = json.loads((VECTORS / name).read_text())["vectors"]
    return vectors


def each(vectors: list[Vector]) -> pytest.MarkDecorator:
    """Parametrize a test by vectors, as ``vector``."""
    return pytest.mark.parametrize("vector", vectors, ids=[each["name"] for each in vectors])


def hex_bytes(vector: Vector, name: str) -> bytes:
    """Return the bytes of a field; none if the field is absent."""
    return bytes.fromhex(vector.get(name, ""))


def value_of(form: Any) -> Any:
    """Return the value of its JSON form, in which byte strings are hex and keys are text."""
    if isinstance(form, str):
        return bytes.fromhex(form)
    if isinstance(form, list):
        return [value_of(each) for each in form]
    if isinstance(form, dict):
        return {key.encode(): value_of(each) for key, each in form.items()}
    return form


def endpoint_of(form: Vector) -> Endpoint:
    return form["address"], form["port"]


def contact_of(form: Vector) -> Contact:
    return Contact(*endpoint_of(form), bytes.fromhex(form["id"]))
