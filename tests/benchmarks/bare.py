"""What there is to compare with: a bare Flask route that reads the body and answers 200, and stores nothing."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request

app = Flask(__name__)


@app.get("/healthz")
def alive() -> Response:
    """200."""
    return jsonify(status="ok")


@app.post("/webhooks/stripe")
def receive() -> Response:
    """200, whatever came."""
    return jsonify(received=len(request.get_data()))
