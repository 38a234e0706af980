"""Settings of the garbage collector."""

import gc

import pytest

from kademlua.runtime.garbage_collection import relaxed_garbage_collection


def test_the_collector_works_rarely_inside_and_as_before_afterwards() -> None:
    before = gc.get_threshold()

    with relaxed_garbage_collection():
        inside = gc.get_threshold()

    assert inside[0] > before[0]
    assert gc.get_threshold() == before


def test_an_error_restores_the_setting_too() -> None:
    before = gc.get_threshold()

    with pytest.raises(KeyError), relaxed_garbage_collection():
        raise KeyError

    assert gc.get_threshold() == before
