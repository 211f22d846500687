"""Lazy mappings: entries stay encoded until they are read."""

from __future__ import annotations

import pytest

from bridge.ledger.serialization import LazyMapping, decode, encode, unstructure
from bridge.ledger.state import Touchpoint
from processors.money import Currency
from tests.builders import after

A, B = Touchpoint(at=after(), source="a"), Touchpoint(at=after(days=1), source="b")
ENCODED = {
    "a": {"at": "2026-01-01T12:00:00Z", "source": "a"},
    "b": {"at": "2026-01-02T12:00:00Z", "source": "b"},
}


def test_a_lazy_mapping_reads_only_what_is_looked_up() -> None:
    mapping = LazyMapping(Touchpoint, {"a": ENCODED["a"], "broken": {"nonsense": 1}})

    assert mapping["a"] == A
    assert mapping.get("a") == A
    assert mapping.get("c") is None
    assert "broken" in mapping
    with pytest.raises(KeyError):
        mapping["c"]


def test_a_lazy_mapping_is_written_as_it_was_read() -> None:
    assert unstructure(LazyMapping(Touchpoint, ENCODED)) == ENCODED
    assert unstructure(LazyMapping(Touchpoint, {"a": A, "b": ENCODED["b"]})) == ENCODED


def test_a_changed_lazy_mapping_leaves_the_old_one_as_it_was() -> None:
    mapping = LazyMapping(Touchpoint, {"a": A})

    changed = mapping.updated({"b": B, "a": None})

    assert dict(mapping) == {"a": A}
    assert dict(changed) == {"b": B}
    assert mapping.updated({}) is mapping


def test_the_latest_of_a_lazy_mapping_are_those_that_were_added_last() -> None:
    mapping = LazyMapping(Touchpoint, {"a": A, "b": B})

    assert dict(mapping.latest(1)) == {"b": B}
    assert mapping.latest(2) is mapping


def test_shelves_are_equal_by_what_is_on_them() -> None:
    assert LazyMapping(Touchpoint, ENCODED) == LazyMapping(Touchpoint, {"a": A, "b": B})
    assert LazyMapping(Touchpoint, ENCODED) != LazyMapping(Touchpoint, {"a": A})
    assert LazyMapping(Touchpoint, {"a": A}) != 1
    assert repr(LazyMapping(Touchpoint, {})) == "LazyMapping({})"


def test_a_value_is_the_same_after_it_was_written_as_text() -> None:
    assert decode(encode(A), Touchpoint) == A


def test_half_a_surrogate_pair_is_written_and_read() -> None:
    odd = Touchpoint(at=after(), source="\ud83d")

    assert decode(encode(odd), Touchpoint) == odd


def test_what_an_earlier_program_wrote_is_read() -> None:
    assert decode('{"at": "2026-01-01T12:00:00+00:00", "source": "a"}', Touchpoint) == A
    assert decode('"USD:2"', Currency) == decode('{"code": "USD", "digits": 2}', Currency)
