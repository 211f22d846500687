"""The baseline: a bare Flask route that reads the body, stores nothing and answers 200."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request

app = Flask(__name__)


@app.get("/healthz")
def alive() -> Response:
    """200."""
    return jsonify(status="ok")


@app.post("/webhooks/stripe")
def receive() -> Response:
    """200 for any request."""
    return jsonify(received=len(request.get_data()))
