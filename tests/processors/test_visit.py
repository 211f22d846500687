"""The visit: metadata, the composite reference of Payment Links, and values that are no ids."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bridge import visit_metadata
from processors.visit import Visit, is_composite, read_visit, rejected_as, rejection, visit_of

KEYS = ("visitor_fingerprint", "session_id")
VISIT = Visit(fingerprint="fp_1", session="ses_1")


def encoded(text: str) -> str:
    return "pls2_" + urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("reference", "visit"),
    [
        ("pls1_fp_abc__sess_xyz", ("fp_abc", "sess_xyz")),
        ("pls1_8f14e45f__2a7f6b1c-0d7e-4b52-9a44-0123456789ab", ("8f14e45f", "2a7f6b1c-0d7e-4b52-9a44-0123456789ab")),
        ("pls1_fp__ses__2", ("fp", "ses__2")),
        (encoded("fp.1:ü\nses/2"), ("fp.1:ü", "ses/2")),
    ],
)
def test_the_composite_reference_has_both_ids(reference: str, visit: tuple[str, str]) -> None:
    assert visit_of(reference) == Visit(fingerprint=visit[0], session=visit[1])


@pytest.mark.parametrize(
    "reference",
    ["", "user_42", "pls1_", "pls1_fp", "pls1_fp__", "pls1___ses", "pls1_fp_ses", "pls3_fp__ses", "PLS1_fp__ses",
     "pls1_undefined__ses_1", "pls1_fp_1__null", "pls1_fp_1__cs_test_a1B2", "pls1_fp_1__None", "pls2_", "pls2_a",
     "pls2_*", "pls2_ü", encoded("only one"), encoded("\nses"), "pls2_" + "_w" * 3, None, 7, ["pls1_a__b"]],
)  # fmt: skip
def test_any_other_reference_is_no_visit(reference: object) -> None:
    assert visit_of(reference) is None


@given(st.one_of(st.text(), st.text().map("pls1_".__add__), st.text().map("pls2_".__add__), st.integers(), st.none()))
def test_no_reference_raises(reference: object) -> None:
    found = visit_of(reference)

    assert found is None or (found.fingerprint.strip() and found.session.strip() and is_composite(reference))


PLAIN_ID = st.from_regex(r"[A-Za-z0-9-]{1,40}(_[A-Za-z0-9-]{1,20})?", fullmatch=True)


@given(PLAIN_ID, PLAIN_ID)
def test_plain_ids_survive_the_composite_form(fingerprint: str, session: str) -> None:
    assume(not rejected_as(fingerprint) and not rejected_as(session))

    assert visit_of(f"pls1_{fingerprint}__{session}") == Visit(fingerprint=fingerprint, session=session)


def test_the_keys_outrank_the_reference_and_half_a_visit_does_not() -> None:
    both = {"visitor_fingerprint": "fp_1", "session_id": "ses_1", "client_reference_id": "pls1_fp_2__ses_2"}
    half = {"visitor_fingerprint": "fp_1", "client_reference_id": "pls1_fp_2__ses_2"}

    assert read_visit(both, *KEYS) == VISIT
    assert read_visit(half, *KEYS) == Visit(fingerprint="fp_2", session="ses_2")
    assert read_visit({"visitor_fingerprint": "fp_1"}, *KEYS) is None
    assert read_visit({"fp": "fp_1", "ses": "ses_1"}, "fp", "ses") == VISIT


NAMES = {
    "undefined": "undefined", "null": "null", "None": "None", "none": "None", " NULL ": "null",
    "[object Object]": "[object Object]", "cs_test_a1B2c3": "the id of a checkout session",
}  # fmt: skip


@pytest.mark.parametrize(("value", "name"), NAMES.items())
def test_a_rejected_value_counts_as_absent_and_is_named(value: str, name: str) -> None:
    assert rejected_as(value) == name
    assert read_visit({"visitor_fingerprint": value, "session_id": "ses_1"}, *KEYS) is None
    assert rejection({"visitor_fingerprint": "fp_1", "session_id": value}, *KEYS) == (
        f"visit rejected: session_id is {name}"
    )


@pytest.mark.parametrize("value", ["fp_undefined", "nullable", "scs_1", "0", "none-1", "", None, 5])
def test_an_id_is_not_rejected(value: object) -> None:
    assert rejected_as(value) is None


def test_a_rejected_part_of_a_reference_is_named() -> None:
    assert rejection({"client_reference_id": "pls1_undefined__ses_1"}, *KEYS) == (
        "visit rejected: the fingerprint in client_reference_id is undefined"
    )
    assert rejection({"client_reference_id": "undefined"}, *KEYS) == (
        "visit rejected: client_reference_id is undefined"
    )
    assert rejection({"client_reference_id": "user_42"}, *KEYS) is None
    assert rejection({}, *KEYS) is None


# ---- visit_metadata ------------------------------------------------------------------------------------------------


def test_a_server_gets_the_metadata_of_a_visit() -> None:
    assert visit_metadata(" fp_1", "ses_1") == {"visitor_fingerprint": "fp_1", "session_id": "ses_1"}


@pytest.mark.parametrize("session", [None, "", "  ", "undefined", "cs_test_a1B2", "x" * 256])
def test_an_unusable_visit_never_breaks_a_checkout(session: str | None) -> None:
    assert visit_metadata("fp_1", session) == {}
    with pytest.raises(ValueError, match=r"^session_id: "):
        visit_metadata("fp_1", session, strict=True)


def test_importing_visit_metadata_imports_neither_flask_nor_a_database() -> None:
    code = "import json, sys; from bridge import visit_metadata; print(json.dumps(sorted(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert {"flask", "sqlalchemy", "requests", "stripe"}.isdisjoint(json.loads(done.stdout))


# By the language of the lines: how to run a program, and one that prints the metadata of each session in SESSIONS.
PROGRAMS = {
    "js": (
        ["node", "-e"],
        """const made = (fingerprint, sessionId) => { LINES return visit; };
        console.log(JSON.stringify(JSON.parse('SESSIONS').map((one) => made("fp_1", one))));""",
    ),
    "php": (
        ["php", "-r"],
        """function made($fingerprint, $session) { LINES return (object) $visit; }
        echo json_encode(array_map(fn($one) => made("fp_1", $one), json_decode('SESSIONS')));""",
    ),
    "ruby": (
        ["ruby", "-rjson", "-e"],
        """def made(fingerprint, session) LINES; visit end
        puts JSON.generate(JSON.parse('SESSIONS').map { |one| made("fp_1", one) })""",
    ),
}


@pytest.mark.parametrize("language", PROGRAMS)
def test_the_lines_in_the_documentation_make_the_same_metadata(language: str) -> None:
    command, program = PROGRAMS[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    page = (Path(__file__).parents[2] / "docs" / "attribution.md").read_text(encoding="utf-8")
    lines = re.search(rf"```{language}\n(\S*\s?usable.*?)```", page, re.DOTALL)
    assert lines is not None
    sessions = ["ses_1", None, "", "  ", "undefined", "NULL", "None", "[object Object]", "cs_test_a1B2"]
    program = program.replace("LINES", lines[1]).replace("SESSIONS", json.dumps(sessions))

    done = subprocess.run([*command, program], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == [visit_metadata("fp_1", session) for session in sessions]
