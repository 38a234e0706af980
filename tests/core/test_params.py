"""Params: validation, immutability and error messages."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.errors import KademluaError, ParamsError
from kademlua.core.params import Params

FIELDS = {spec.name: spec for spec in dataclasses.fields(Params)}
NUMBERS = [name for name, spec in FIELDS.items() if spec.metadata]


def test_the_defaults_are_those_of_the_paper():
    assert (Params().k, Params().alpha) == (20, 3)


def test_the_original_keeps_values_for_two_minutes_and_overwrites_them_all():
    original = Params.v10()
    assert original.ttl == 120
    assert original.overwrite_drops_others
    assert not Params().overwrite_drops_others


@pytest.mark.parametrize("name", NUMBERS)
def test_bounds(name):
    low, high = FIELDS[name].metadata["low"], FIELDS[name].metadata["high"]
    other = {"bootstrap_retry_max": 86_400} if name == "bootstrap_retry" else {}
    if name == "bootstrap_retry_max":
        other = {"bootstrap_retry": low}
    for value in (low, high):
        assert getattr(Params(**{name: value}, **other), name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(ParamsError, match=rf"^{name}: must be .* to .*, not {value}$"):
            Params(**{name: value})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["20", b"20", None, True, [20], 1j, float("nan")])
def test_wrong_types_of_numbers(name, value):
    with pytest.raises(ParamsError, match=f"^{name}: must be "):
        Params(**{name: value})


@pytest.mark.parametrize("name", [name for name in NUMBERS if FIELDS[name].type == "int"])
def test_a_fraction_is_no_whole_number(name):
    with pytest.raises(ParamsError, match=f"^{name}: must be a whole number, not 2.5$"):
        Params(**{name: 2.5})


@pytest.mark.parametrize("value", [1, 0, "true", None])
def test_wrong_types_of_switches(value):
    with pytest.raises(ParamsError, match=r"^overwrite_drops_others: must be true or false"):
        Params(overwrite_drops_others=value)


def test_the_wait_to_bootstrap_grows():
    with pytest.raises(ParamsError, match="bootstrap_retry_max: must not be below"):
        Params(bootstrap_retry=10, bootstrap_retry_max=5)


def test_from_a_mapping():
    assert Params.from_mapping({}) == Params()
    assert Params.from_mapping({"k": 8, "ttl": 60}) == Params(k=8, ttl=60)
    with pytest.raises(ParamsError, match=r"^kk: no such parameter$"):
        Params.from_mapping({"kk": 8})
    with pytest.raises(ParamsError, match=r"^k: must be 1 to 64, not 0$"):
        Params.from_mapping({"k": 0})


def test_replace_checks_as_well_and_leaves_the_rest():
    params = Params(k=8, ttl=60)
    assert params.replace(k=9) == Params(k=9, ttl=60)
    assert params == Params(k=8, ttl=60)
    with pytest.raises(ParamsError, match=r"^alpha"):
        params.replace(alpha=0)
    with pytest.raises(ParamsError, match="no such parameter"):
        params.replace(nonsense=0)


def test_frozen_and_equal_by_value():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Params().k = 3  # type: ignore[misc]
    assert Params(k=8) == Params(k=8) != Params(k=9)


def test_long_value_is_truncated_in_the_message():
    with pytest.raises(ParamsError) as caught:
        Params(k="x" * 10_000)
    assert len(str(caught.value)) < 200


def test_errors_are_of_the_family_and_value_errors():
    assert issubclass(ParamsError, KademluaError)
    assert issubclass(ParamsError, ValueError)


@given(
    st.dictionaries(
        st.sampled_from(sorted(FIELDS)) | st.text("abk_ é-", max_size=5),
        st.integers() | st.floats() | st.booleans() | st.text(max_size=3) | st.none(),
        max_size=3,
    )
)
def test_any_mapping_gives_params_or_a_params_error(given_):
    try:
        params = Params.from_mapping(given_)
    except ParamsError:
        return
    assert all(getattr(params, name) == value for name, value in given_.items())
