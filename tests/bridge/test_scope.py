"""Scopes and stream ids are read back as they were written, whatever an account or a customer is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.scope import Scope, StreamId


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("stripe||live", Scope("stripe", None, True)),
        ("stripe|acct_1|test", Scope("stripe", "acct_1", False)),
        ("second|a|b|live", Scope("second", "a|b", True)),
    ],
)
def test_a_scope_is_parsed_and_written(text: str, scope: Scope) -> None:
    assert Scope.parse(text) == scope
    assert str(scope) == text


@pytest.mark.parametrize(
    ("text", "stream_id"),
    [
        ("stripe||live|cus_1", StreamId("stripe||live", "cus_1")),
        ("stripe||live|~in_1", StreamId("stripe||live", "in_1", is_provisional=True)),
        ("stripe|acct_1|test|a|live|b", StreamId("stripe|acct_1|test", "a|live|b")),
    ],
)
def test_a_stream_id_is_parsed_and_written(text: str, stream_id: StreamId) -> None:
    assert StreamId.parse(text) == stream_id
    assert str(stream_id) == text


@given(key=st.text().filter(lambda key: not key.startswith("~")), provisional=st.booleans())
def test_any_customer_or_reference_survives(key: str, provisional: bool) -> None:
    written = str(StreamId("stripe||live", key, provisional))

    assert StreamId.parse(written) == StreamId("stripe||live", key, provisional)


@pytest.mark.parametrize("text", ["", "stripe", "stripe||", "stripe|live", "stripe||production"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        Scope.parse(text)
    with pytest.raises(ValueError, match="not a"):
        StreamId.parse(text)
