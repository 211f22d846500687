"""Fakes of the webhook endpoints of Stripe's and Paddle's APIs, which check requests as the documentation states them.

Both refuse an unknown path, method, parameter or permission, as the real APIs do.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from processors.paddle.connection import AUDIT_READS as PADDLE_AUDIT_READS
from processors.paddle.connection import READS as PADDLE_READS
from processors.stripe.connection import AUDIT_READS as STRIPE_AUDIT_READS
from processors.stripe.connection import READS as STRIPE_READS

STRIPE_KEY = "rk_live_fake_key_of_the_tests"
STRIPE_TEST_KEY = "rk_test_fake_key_of_the_tests"
PADDLE_KEY = "pdl_live_apikey_fake_key_of_the_tests"
STRIPE_NEEDED = {path: permission for path, (permission, _) in STRIPE_READS.items()} | STRIPE_AUDIT_READS
PADDLE_NEEDED = {path: permission for path, (permission, _) in PADDLE_READS.items()} | PADDLE_AUDIT_READS
STRIPE_PERMISSIONS = frozenset({*STRIPE_NEEDED.values(), "rak_webhook_write"})
PADDLE_PERMISSIONS = frozenset({*PADDLE_NEEDED.values(), "notification_setting.write"})
EVERYTHING = re.compile(".*")
# docs.stripe.com/api/webhook_endpoints/create and /update
CREATED = frozenset({"url", "enabled_events[]", "api_version", "description", "metadata[pulsora_bridge]"})
UPDATED = frozenset({"enabled_events[]", "disabled"})


@dataclass(kw_only=True)
class FakeStripe:
    """`lost`: how many responses to a creation are lost after it took effect.

    `events`: what happened, oldest first; Stripe lists those of the last 30 days, newest first. `subscriptions`: by id.
    """

    permissions: frozenset[str] = STRIPE_PERMISSIONS
    endpoints: list[dict[str, Any]] = field(default_factory=list)
    responses: dict[str, dict[str, Any]] = field(default_factory=dict)  # by idempotency key
    lost: int = 0
    log: list[tuple[str, str]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by path, the newest first

    def serve(self, server: HTTPServer) -> str:
        """Serves it. Returns its address."""
        server.expect_request(EVERYTHING).respond_with_handler(self.respond)
        return server.url_for("").rstrip("/")

    def add(self, url: str, events: list[str], **more: Any) -> dict[str, Any]:
        """An endpoint that somebody made; its secret is in no response."""
        made = {
            "id": f"we_{len(self.endpoints) + 1}", "object": "webhook_endpoint", "url": url, "enabled_events": events,
            "status": "enabled", "livemode": True, "metadata": {}, "created": int(time.time()), **more,
        }  # fmt: skip
        self.endpoints.append(made)
        return made

    def respond(self, request: Request) -> Response:
        """The response to any request."""
        self.log.append((request.method, request.path))
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if key not in (STRIPE_KEY, STRIPE_TEST_KEY):
            return _stripe_error(401, f"Invalid API Key provided: {key}")
        assert request.headers["Stripe-Version"] == "2026-09-30.endive"
        needed = _permission(request)
        if needed is None:
            return _stripe_error(404, f"Unrecognized request URL ({request.method}: {request.path}).")
        if needed not in self.permissions:
            return _stripe_error(403, f"The key does not have it. Having the '{needed}' permission would allow this.")
        if request.method == "GET":
            return self._read(request)
        name = request.path.removeprefix("/v1/webhook_endpoints").lstrip("/")
        return self._updated(request, name) if name else self._created(request, livemode="_live_" in key)

    def _read(self, request: Request) -> Response:
        if request.path == "/v1/events":
            return _json(_page_of(self._events(request), request, "starting_after", "limit"))
        if request.path.startswith("/v1/subscriptions/"):
            found = self.subscriptions.get(request.path.removeprefix("/v1/subscriptions/"))
            return _stripe_error(404, "No such subscription") if found is None else _json(found)
        if request.path in self.lists:
            since, until = (int(request.args.get(f"created[{one}]", end)) for one, end in (("gte", 0), ("lt", 2**40)))
            listed = [one for one in self.lists[request.path] if since <= one["created"] < until]
            return _json(_page_of(listed, request, "starting_after", "limit"))
        path, _, name = request.path.rpartition("/")
        if path in self.lists:
            one = next((one for one in self.lists[path] if one["id"] == name), None)
            return _stripe_error(404, "No such object") if one is None else _json(one)
        listed = self.endpoints if request.path == "/v1/webhook_endpoints" else []
        return _json({"object": "list", "data": listed, "has_more": False})

    def _events(self, request: Request) -> list[dict[str, Any]]:
        since, until = (int(request.args.get(f"created[{one}]", end)) for one, end in (("gte", 0), ("lt", 2**40)))
        since, types = max(since, int(time.time()) - 30 * 86400), request.args.getlist("types[]")
        found = [
            one for one in self.events if since <= one["created"] < until and one["type"] in (types or [one["type"]])
        ]
        return sorted(found, key=lambda one: one["created"], reverse=True)

    def _created(self, request: Request, *, livemode: bool) -> Response:
        form, key = request.form, request.headers["Idempotency-Key"]
        if unknown := set(form) - CREATED:
            return _stripe_error(400, f"Received unknown parameters: {unknown}")
        assert form["api_version"] == "2026-09-30.endive"
        sent = form.to_dict(flat=False)
        if key not in self.responses:
            events = form.getlist("enabled_events[]")
            made = self.add(
                form["url"], events, livemode=livemode, metadata={"pulsora_bridge": form["metadata[pulsora_bridge]"]}
            )
            secret = f"whsec_fake_of_{made['id']}"
            self.responses[key] = {"sent": sent, "body": {**made, "secret": secret}}
        elif self.responses[key]["sent"] != sent:
            return _stripe_error(400, "Keys for idempotent requests can only be used with the same parameters.")
        if self.lost:
            self.lost -= 1
            return Response("upstream failed", status=502)
        return _json(self.responses[key]["body"])

    def _updated(self, request: Request, name: str) -> Response:
        if unknown := set(request.form) - UPDATED:
            return _stripe_error(400, f"Received unknown parameters: {unknown}")
        [found] = [one for one in self.endpoints if one["id"] == name]
        found["enabled_events"] = request.form.getlist("enabled_events[]")
        found["status"] = "disabled" if request.form["disabled"] == "true" else "enabled"
        return _json(found)


def _permission(request: Request) -> str | None:
    if request.path.startswith("/v1/webhook_endpoints") and request.method == "POST":
        return "rak_webhook_write"
    path = request.path if request.path in STRIPE_NEEDED else request.path.rpartition("/")[0]
    return STRIPE_NEEDED.get(path) if request.method == "GET" else None


def _stripe_error(status: int, message: str) -> Response:
    return _json({"error": {"type": "invalid_request_error", "message": message}}, status)


# ---- Paddle ----------------------------------------------------------------------------------------------------

REQUIRED = frozenset({"description", "type", "destination", "subscribed_events"})  # developer.paddle.com
OPTIONAL = frozenset({"api_version", "include_sensitive_fields", "traffic_source", "active"})


@dataclass(kw_only=True)
class FakePaddle:
    """`lost`: how many responses to a creation are lost after it took effect.

    `events`: what happened, oldest first; Paddle lists those of the last 90 days.
    """

    permissions: frozenset[str] = PADDLE_PERMISSIONS
    settings: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    lost: int = 0
    log: list[tuple[str, str]] = field(default_factory=list)
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by path
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)  # the `data` of each, by path

    def serve(self, server: HTTPServer) -> str:
        """Serves it. Returns its address."""
        server.expect_request(EVERYTHING).respond_with_handler(self.respond)
        return server.url_for("").rstrip("/")

    def add(self, url: str, events: list[str], **more: Any) -> dict[str, Any]:
        """A notification destination; every response contains its secret key."""
        number = len(self.settings) + 1
        made = {
            "id": f"ntfset_{number}", "description": "x", "type": "url", "destination": url, "active": True,
            "api_version": 1, "include_sensitive_fields": False, "traffic_source": "platform",
            "subscribed_events": _named(events), "endpoint_secret_key": f"pdl_ntfset_fake_of_{number}", **more,
        }  # fmt: skip
        self.settings.append(made)
        return made

    def respond(self, request: Request) -> Response:
        """The response to any request."""
        self.log.append((request.method, request.path))
        if request.headers.get("Authorization") != f"Bearer {PADDLE_KEY}":
            return _paddle_error(401, "authentication_malformed")
        assert request.headers["Paddle-Version"] == "1"
        plain = "/notification-settings" if request.path.startswith("/notification-settings") else request.path
        needed = PADDLE_NEEDED.get(plain) or PADDLE_NEEDED.get(plain.rpartition("/")[0], "")
        if request.method != "GET":
            needed = "notification_setting.write" if plain == "/notification-settings" else ""
        if not needed:
            return _paddle_error(404, "invalid_url")
        if needed not in self.permissions:
            return _paddle_error(403, "forbidden")
        if request.method == "GET":
            return self._read(request)
        return self._created(request) if request.method == "POST" else self._updated(request)

    def _read(self, request: Request) -> Response:
        if request.path in self.metrics:
            return _json({"data": self.metrics[request.path]})
        key = "event_id" if request.path == "/events" else "id"
        lists = {"/events": self._events, "/notification-settings": lambda _: self.settings}
        listed = lists[request.path](request) if request.path in lists else self.lists.get(request.path, [])
        page = _page_of(listed, request, "after", "per_page", key)
        return _json({"data": page["data"], "meta": {"pagination": {"has_more": page["has_more"]}}})

    def _events(self, request: Request) -> list[dict[str, Any]]:
        assert request.args.get("order_by", "id[DESC]") == "id[DESC]"
        types = request.args.get("event_type", "").split(",")
        oldest = datetime.fromtimestamp(time.time() - 90 * 86400, UTC)
        found = [one for one in self.events if one["event_type"] in types]
        found = [one for one in found if datetime.fromisoformat(one["occurred_at"]) >= oldest]
        return sorted(found, key=lambda one: one["occurred_at"], reverse=True)

    def _created(self, request: Request) -> Response:
        body = request.get_json()
        if not REQUIRED <= set(body) <= REQUIRED | OPTIONAL:
            return _paddle_error(400, "bad_request")
        made = self.add(
            body["destination"],
            body["subscribed_events"],
            **{name: value for name, value in body.items() if name not in ("destination", "subscribed_events")},
        )
        if self.lost:
            self.lost -= 1
            return Response("upstream failed", status=502)
        return _json({"data": made}, 201)

    def _updated(self, request: Request) -> Response:
        body = request.get_json()
        if not set(body) <= REQUIRED | OPTIONAL:
            return _paddle_error(400, "bad_request")
        [found] = [one for one in self.settings if request.path == f"/notification-settings/{one['id']}"]
        found.update({**body, "subscribed_events": _named(body["subscribed_events"])})
        return _json({"data": found})


def _page_of(listed: list[dict[str, Any]], request: Request, after: str, limit: str, key: str = "id") -> dict[str, Any]:
    """The page of a list that begins after the row with that id."""
    last = request.args.get(after)
    start = next((number + 1 for number, one in enumerate(listed) if one[key] == last), 0)
    end = start + int(request.args.get(limit, 10))
    return {"object": "list", "data": listed[start:end], "has_more": end < len(listed)}


def _named(events: list[str]) -> list[dict[str, str]]:
    return [{"name": name, "description": "", "group": ""} for name in events]


def _paddle_error(status: int, code: str) -> Response:
    return _json({"error": {"type": "request_error", "code": code, "detail": "Refused."}}, status)


def _json(value: Mapping[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(value), status=status, content_type="application/json")
