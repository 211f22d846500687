"""Subscribe and cancel over HTTP with localstripe, a stateful fake of Stripe that signs and sends its own webhooks.

It has another licence: started as a process where it is installed, never imported.
Run `pip install -c constraints.txt localstripe` to run these tests.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from queue import Queue
from typing import Any

import pytest
import requests
from pytest_httpserver import HTTPServer
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from werkzeug import Request, Response

from bridge.ledger import Policy
from processors.stripe import processor
from tests.lifecycles.harness import Ledger, rows, translated

SECRET = "whsec_localstripe_fake"
API_KEY = "sk_test_fake"

# Its command listens on every interface; this keeps it on the loopback interface.
ON_LOOPBACK = """
import runpy, socket, sys
bind = socket.socket.bind
socket.socket.bind = lambda self, address: bind(self, ("::ffff:127.0.0.1", address[1]))
sys.argv = ["localstripe", "--from-scratch", "--port", sys.argv[1]]
runpy.run_module("localstripe", run_name="__main__")
"""

pytestmark = pytest.mark.skipif(find_spec("localstripe") is None, reason="localstripe is not installed")


class Account:
    """A merchant's account at localstripe."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()
        patient = HTTPAdapter(max_retries=Retry(connect=30, backoff_factor=0.05, backoff_max=0.5))
        self.http.mount("http://", patient)

    def post(self, path: str, **fields: Any) -> dict[str, Any]:
        response = self.http.post(self.url + path, data=fields, auth=(API_KEY, ""), timeout=10)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def send_webhooks_to(self, url: str) -> None:
        endpoint = {"url": url, "secret": SECRET}
        assert self.http.post(f"{self.url}/_config/webhooks/bridge", json=endpoint, timeout=10).ok

    def subscribes(self, metadata: dict[str, str]) -> str:
        """A customer with a card subscribes to Pro at 49.00 a month."""
        visit = {f"metadata[{key}]": value for key, value in metadata.items()}
        product = self.post("/v1/products", name="Pro", type="service")
        price = {"amount": "4900", "currency": "usd", "interval": "month", "nickname": "Pro"}
        self.post("/v1/plans", id="pro", product=product["id"], **price)
        card = {"number": "4242424242424242", "exp_month": "12", "exp_year": "2040", "cvc": "123"}
        token = self.post("/v1/tokens", **{f"card[{key}]": value for key, value in card.items()})
        customer = self.post("/v1/customers", source=token["id"], **visit)
        found = self.post("/v1/subscriptions", customer=customer["id"], **{"items[0][plan]": "pro"})
        return str(found["id"])

    def cancels(self, subscription_id: str) -> None:
        path = f"{self.url}/v1/subscriptions/{subscription_id}"
        assert self.http.delete(path, auth=(API_KEY, ""), timeout=10).ok


@pytest.fixture
def account() -> Iterator[Account]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", ON_LOOPBACK, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    yield Account(f"http://127.0.0.1:{port}")
    process.terminate()
    process.wait(timeout=10)


@pytest.fixture
def received(httpserver: HTTPServer, account: Account) -> Queue[Request]:
    """The webhooks as they arrive."""
    queue: Queue[Request] = Queue()

    def receive(request: Request) -> Response:
        request.get_data()
        queue.put(request)
        return Response(status=200)

    httpserver.expect_request("/webhooks/stripe", method="POST").respond_with_handler(receive)
    account.send_webhooks_to(httpserver.url_for("/webhooks/stripe"))
    return queue


def verified_until(last: str, received: Queue[Request]) -> list[bytes]:
    """The bodies whose signature verifies, until one of that type has arrived."""
    bodies: list[bytes] = []
    while True:
        request = received.get(timeout=20)
        body = request.get_data()
        event = processor.verify(body, dict(request.headers), [SECRET], datetime.now(UTC), timedelta(minutes=5))
        assert event.livemode is False
        bodies.append(body)
        if event.type == last:
            return bodies


def test_a_subscription_that_is_paid_and_cancelled_at_localstripe_is_a_start_and_a_churn(
    account: Account, received: Queue[Request]
) -> None:
    ledger = Ledger(policy=Policy())

    subscription_id = account.subscribes({"visitor_fingerprint": "fp_ada", "session_id": "sess_ada"})
    ledger = ledger.after(translated(verified_until("customer.subscription.created", received), processor))
    account.cancels(subscription_id)
    ledger = ledger.after(translated(verified_until("customer.subscription.deleted", received), processor))

    assert rows(ledger.events) == [
        "subscription 49.00 +49.00 Pro monthly",
        "churn 0 -49.00 Pro monthly canceled",
    ]
    assert {event.visitor_fingerprint for event in ledger.events} == {"fp_ada"}
