"""What is logged holds no secret, no signature and no person."""

from __future__ import annotations

import pytest

from bridge.log import HIDDEN, hidden, redact


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
    ],
)
def test_what_looks_like_a_secret_or_a_person_is_hidden(secret: str) -> None:
    told = hidden(f"before {secret} after")

    assert told == f"before {HIDDEN} after"


def test_a_database_password_is_hidden_and_the_host_stays() -> None:
    assert hidden("postgresql://bridge:hunter2@db/bridge") == f"postgresql://{HIDDEN}@db/bridge"


def test_ids_stay_readable() -> None:
    text = "evt_1KJrGtJDPojXS6LN15fcthM3 of cus_123, in_456, sub_789, pi_3"

    assert hidden(text) == text


def test_every_field_of_an_event_is_looked_at() -> None:
    event = {"event": "refused", "reason": "whsec_abcdefgh12345678", "attempt": 3}

    assert redact(None, "", event) == {"event": "refused", "reason": HIDDEN, "attempt": 3}
