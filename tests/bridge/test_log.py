"""Logs contain no secret, no signature and no personal data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.log import HIDDEN, redact, scrub

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "secret",
    [
        "whsec_abcdefgh12345678",
        "sk_live_abcdefgh12345678",
        "rk_test_abcdefgh12345678",
        "pdl_ntfset_01hs0t3tw21j988db1_GrOWLNef+vmtjJYq4",
        "sec_1234567890abcdef",
        "ada.lovelace@example.com",
        "Bearer abc.def.ghi",
        "v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd",
        "-----BEGIN RSA PRIVATE KEY-----\nTm90IGEga2V5\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_secret_or_a_person_is_hidden(secret: str) -> None:
    text = scrub(f"before {secret} after")

    assert text == f"before {HIDDEN} after"


def test_a_database_password_is_hidden_and_the_host_stays() -> None:
    assert scrub("postgresql://bridge:hunter2@db/bridge") == f"postgresql://{HIDDEN}@db/bridge"


def test_ids_stay_readable() -> None:
    text = "evt_1KJrGtJDPojXS6LN15fcthM3 of cus_123, in_456, sub_789, pi_3"

    assert scrub(text) == text


def test_every_field_of_an_event_is_looked_at() -> None:
    event = {"event": "refused", "reason": "whsec_abcdefgh12345678", "attempt": 3}

    assert redact(None, "", event) == {"event": "refused", "reason": HIDDEN, "attempt": 3}


def test_what_lies_deep_in_a_field_is_hidden_too() -> None:
    event = {"event": "odd", "seen": {"to": ["ada@example.com", 3]}, "why": ValueError("sec_1234567890"), "raw": b"{}"}

    assert redact(None, "", event) == {
        "event": "odd",
        "seen": {"to": [HIDDEN, 3]},
        "why": HIDDEN,
        "raw": "[2 bytes]",
    }


def test_a_field_that_is_called_a_secret_is_never_logged() -> None:
    event = {"event": "odd", "token": "short", "headers": {"Authorization": "Basic c2hvcnQ="}}

    assert redact(None, "", event) == {"event": "odd", "token": HIDDEN, "headers": {"Authorization": HIDDEN}}


def test_a_strangers_text_does_not_steer_the_terminal() -> None:
    assert redact(None, "", {"source": "a\x1b[2Jb\x00"}) == {"source": "a?[2Jb?"}


def logged(log_format: str) -> list[str]:
    """The lines that a new process logs: one event of ours, one of a library, one error with its traceback."""
    program = f"""
import logging
import structlog
from bridge import log

log.configure({log_format!r}, "info")
structlog.get_logger().info("received", event_id="evt_1", reason="whsec_abcdefgh12345678")
logging.getLogger("urllib3").warning("retrying %s", "https://bridge:hunter2@pulsora.example/")
try:
    raise ValueError("sk_live_abcdefgh12345678")
except ValueError:
    structlog.get_logger().exception("failed")
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == ""
    return ended.stderr.splitlines()


def test_json_logs_are_one_object_a_line_from_every_logger() -> None:
    ours, theirs, failed = (json.loads(line) for line in logged("json"))

    assert (ours["event"], ours["event_id"], ours["reason"], ours["level"]) == ("received", "evt_1", HIDDEN, "info")
    assert (theirs["logger"], theirs["event"]) == ("urllib3", f"retrying https://{HIDDEN}@pulsora.example/")
    assert failed["exception"].endswith(f"ValueError: {HIDDEN}")


def test_logs_for_people_hide_the_same() -> None:
    text = "\n".join(logged("console"))

    assert "event_id=evt_1" in text
    assert not [secret for secret in ("whsec_", "hunter2", "sk_live_") if secret in text]


def test_logging_does_not_import_rich_which_stays_importable() -> None:
    program = "import sys; from bridge.log import configure; configure(); print('rich' in sys.modules); import rich"

    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ran.stdout == "False\n"
