"""The usual handler: verify, send to Pulsora, respond. Nothing is stored, so an outage loses revenue events."""

from __future__ import annotations

import os

import requests
import stripe
from flask import Flask, Response, abort, jsonify, request

app = Flask(__name__)
pulsora = requests.Session()
ENDPOINT, TOKEN, SECRET = (
    os.environ.get(name, "") for name in ("PULSORA_ENDPOINT", "PULSORA_SECRET_TOKEN", "STRIPE_WEBHOOK_SECRET")
)


@app.get("/healthz")
def alive() -> Response:
    """200."""
    return jsonify(status="ok")


@app.post("/webhooks/stripe")
def receive() -> Response:
    """200 once Pulsora has accepted it."""
    event = stripe.Webhook.construct_event(request.get_data(), request.headers["Stripe-Signature"], SECRET)  # type: ignore[no-untyped-call]
    charge = event["data"]["object"]
    event_body = {
        "type": "revenue",
        "token": TOKEN,
        "data": {
            "event_type": "purchase",
            "amount": charge["amount"] / 100,
            "currency": charge["currency"].upper(),
            "transaction_id": charge["id"],
            "customer_id": charge["customer"],
            "visitor_fingerprint": charge["metadata"]["visitor_fingerprint"],
            "session_id": charge["metadata"]["session_id"],
            "payment_processor": "stripe",
            "is_recurring": False,
            "metadata": {},
        },
    }
    if not pulsora.post(ENDPOINT, json=event_body, headers={"X-API-Token": TOKEN}, timeout=10).ok:
        abort(502)
    return jsonify(received=event["id"])
