"""Shelves: values that stay as they are written until somebody asks for them."""

from __future__ import annotations

import pytest

from bridge.ledger.state import Mark
from bridge.ledger.writing import Shelf, text_of, value_of
from tests.builders import after

A, B = Mark(at=after(), source="a"), Mark(at=after(days=1), source="b")
WRITTEN = {
    "a": {"at": "2026-01-01T12:00:00+00:00", "source": "a"},
    "b": {"at": "2026-01-02T12:00:00+00:00", "source": "b"},
}


def test_a_shelf_reads_what_is_asked_for_and_nothing_else() -> None:
    shelf = Shelf(Mark, {"a": WRITTEN["a"], "broken": {"nonsense": 1}})

    assert shelf["a"] == A
    assert shelf.get("a") == A
    assert shelf.get("c") is None
    assert "broken" in shelf
    with pytest.raises(KeyError):
        shelf["c"]


def test_a_shelf_is_written_as_it_was_read() -> None:
    assert Shelf(Mark, WRITTEN).written() == WRITTEN
    assert Shelf(Mark, {"a": A, "b": WRITTEN["b"]}).written() == WRITTEN


def test_a_changed_shelf_leaves_the_old_one_as_it_was() -> None:
    shelf = Shelf(Mark, {"a": A})

    changed = shelf.having({"b": B, "a": None})

    assert dict(shelf) == {"a": A}
    assert dict(changed) == {"b": B}
    assert shelf.having({}) is shelf


def test_the_latest_of_a_shelf_are_those_put_on_it_last() -> None:
    shelf = Shelf(Mark, {"a": A, "b": B})

    assert dict(shelf.latest(1)) == {"b": B}
    assert shelf.latest(2) is shelf


def test_shelves_are_equal_by_what_is_on_them() -> None:
    assert Shelf(Mark, WRITTEN) == Shelf(Mark, {"a": A, "b": B})
    assert Shelf(Mark, WRITTEN) != Shelf(Mark, {"a": A})
    assert Shelf(Mark, {"a": A}) != 1
    assert repr(Shelf(Mark, {})) == "Shelf({})"


def test_a_value_is_the_same_after_it_was_written_as_text() -> None:
    assert value_of(text_of(A), Mark) == A
