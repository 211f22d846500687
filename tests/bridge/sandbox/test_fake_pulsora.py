"""The fake Pulsora responds as the API reference says, and the scripted one as its script says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from tests.fake_pulsora import Reply, ScriptedPulsora

TOKEN = "sec_test_fake"
EVENT = {
    "visitor_fingerprint": "fp_abc",
    "session_id": "sess_xyz",
    "customer_id": "cus_42",
    "amount": 499,
    "transaction_id": "ch_1",
}


@pytest.fixture(name="pulsora")
def _pulsora() -> Iterator[ScriptedPulsora]:
    with ScriptedPulsora(TOKEN) as pulsora:
        yield pulsora


def post(
    pulsora: ScriptedPulsora, *, token: str = TOKEN, header: str | None = None, **envelope: object
) -> requests.Response:
    sent = {"type": "revenue", "token": token, "data": EVENT, **envelope}
    headers = {"X-API-Token": token if header is None else header}
    return requests.post(pulsora.endpoint, json=sent, headers=headers, timeout=5)


def test_a_revenue_event_is_accepted_and_kept(pulsora: ScriptedPulsora) -> None:
    response = post(pulsora)

    assert (response.status_code, response.json()) == (202, {"success": True})
    assert pulsora.accepted == (EVENT,)


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        ({"token": "sec_other_fake"}, 401, {"error": "Invalid API token"}),
        ({"header": ""}, 401, {"error": "Invalid API token"}),
        ({"header": "sec_other_fake"}, 401, {"error": "Invalid API token"}),
        ({"token": "pub_test_fake"}, 403, {"error": "Revenue events require secret token"}),
        ({"type": "pageview"}, 400, {"message": "type must be revenue."}),
        ({"data": {**EVENT, "amount": "499"}}, 400, {"message": "amount must be a number."}),
        ({"data": None}, 400, {"message": "The event is not a JSON object."}),
    ],
)
def test_what_breaks_the_contract_is_answered_as_the_reference_says(
    pulsora: ScriptedPulsora, request_: Mapping[str, Any], status: int, body: Mapping[str, str]
) -> None:
    response = post(pulsora, **request_)

    assert (response.status_code, response.json()) == (status, body)
    assert pulsora.accepted == ()
    assert len(pulsora.received) == 1


@pytest.mark.parametrize(("amount", "status"), [(499, 202), (0.01, 202), (0, 400), (-499, 400)])
def test_a_strict_one_takes_only_positive_amounts(amount: float, status: int) -> None:
    with ScriptedPulsora(TOKEN, positive_only=True) as strict:
        response = post(strict, data={**EVENT, "amount": amount})

    assert response.status_code == status
    if status == 400:
        assert response.json() == {"message": "amount must be a positive number."}


def test_what_is_no_json_is_refused(pulsora: ScriptedPulsora) -> None:
    response = requests.post(pulsora.endpoint, data=b"{", headers={"X-API-Token": TOKEN}, timeout=5)

    assert response.status_code == 401  # there is no token in the body


def test_another_path_and_another_method_are_refused(pulsora: ScriptedPulsora) -> None:
    elsewhere = requests.post(pulsora.endpoint + "/x", data=b"{}", timeout=5)
    read = requests.get(pulsora.endpoint, timeout=5)

    assert (elsewhere.status_code, read.status_code) == (404, 405)


def test_a_script_is_followed_once_and_then_the_contract(pulsora: ScriptedPulsora) -> None:
    pulsora.script(Reply(status=500), Reply(status=429, headers={"Retry-After": "7"}))

    responses = [post(pulsora) for _ in range(3)]

    assert [response.status_code for response in responses] == [500, 429, 202]
    assert responses[1].headers["Retry-After"] == "7"


def test_a_rule_answers_by_what_is_in_the_event(pulsora: ScriptedPulsora) -> None:
    pulsora.rule = lambda data: Reply(status=503) if data["customer_id"] == "cus_42" else None

    stuck = post(pulsora)
    other = post(pulsora, data={**EVENT, "customer_id": "cus_43"})

    assert (stuck.status_code, other.status_code) == (503, 202)


def test_requests_are_kept_in_the_order_in_which_they_came(pulsora: ScriptedPulsora) -> None:
    for number in range(5):
        post(pulsora, data={**EVENT, "transaction_id": f"ch_{number}"})

    assert [data["transaction_id"] for data in pulsora.accepted] == ["ch_0", "ch_1", "ch_2", "ch_3", "ch_4"]


def test_what_was_received_can_be_forgotten(pulsora: ScriptedPulsora) -> None:
    post(pulsora)

    pulsora.forget()

    assert pulsora.received == ()
