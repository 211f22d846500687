"""Stripe's webhook endpoints: create, compare, merge (docs.stripe.com/api/webhook_endpoints)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from processors.endpoints import Endpoint
from processors.http_client import Refusal, missing_permissions
from processors.interface import ApiError
from processors.payload import Json, table, text
from processors.stripe.api import BASE_URL, VERSION, StripeApi
from processors.stripe.connection import API_BASE, CREATES_ENDPOINT, READS

MARK = "pulsora_bridge"  # metadata of endpoints that the bridge made: the idempotency key of their creation
REPEATABLE_SECONDS = 23 * 3600  # Stripe keeps its first response to an idempotency key for at least 24 hours
ATTEMPTS = 3


def connect(key: str, options: Mapping[str, str]) -> StripeEndpoints:
    """The endpoints of the account and mode of a key."""
    base_url = options.get(API_BASE.name, BASE_URL)
    return StripeEndpoints(api=StripeApi(key, base_url), livemode="_test_" not in key)


@dataclass(kw_only=True)
class StripeEndpoints:
    """Implements `processors.endpoints.EndpointApi`."""

    api: StripeApi
    livemode: bool

    @property
    def mode_settings(self) -> dict[str, str]:
        """None: each event states its mode."""
        return {}

    def listed(self) -> list[Endpoint]:
        """Every endpoint of the account and mode of the key."""
        return [_endpoint(found) for found in self.api.endpoints()]

    def create(self, url: str, events: Sequence[str]) -> Endpoint:
        """A new endpoint. The idempotency key depends on the request alone: after a lost response it is the same one.

        Stripe also repeats the response for an endpoint that was deleted since: then the next key is used.
        """
        for attempt in range(ATTEMPTS):
            created = self._create(url, events, _key(url, events, attempt))
            if any(one.id == created.id for one in self.listed()):
                return created
        raise ApiError(f"Stripe's API lists no endpoint {created.id} after creating it. Try again in a minute")

    def update(self, endpoint: Endpoint, events: Sequence[str]) -> Endpoint:
        """The endpoint, enabled and with exactly these events."""
        form = {"enabled_events[]": list(events), "disabled": "false"}
        return _endpoint(_permitted(lambda: self.api.update_endpoint(endpoint.id, form)))

    def secret_of(self, endpoint: Endpoint, url: str, events: Sequence[str]) -> str | None:
        """The secret of an endpoint that this version of the bridge made within a day; Stripe shows others nowhere.

        Only then is its creation repeated: with any other key, or too late, Stripe would make a second endpoint.
        """
        keys = [_key(url, events, attempt) for attempt in range(ATTEMPTS)]
        age = self.api.now().timestamp() - endpoint.created
        if endpoint.created_by not in keys or age > REPEATABLE_SECONDS:
            return None
        repeated = self._create(url, events, endpoint.created_by or "")
        return repeated.secret if repeated.id == endpoint.id else None

    def missing_permissions(self) -> dict[str, str]:
        """The permissions that the key lacks, by Stripe's name."""
        return missing_permissions(self.api.probe, READS)

    def _create(self, url: str, events: Sequence[str], key: str) -> Endpoint:
        form = {
            "url": url,
            "enabled_events[]": list(events),
            "api_version": VERSION,
            "description": "Pulsora bridge",
            f"metadata[{MARK}]": key,
        }
        return _endpoint(_permitted(lambda: self.api.create_endpoint(form, key)))


def _permitted(request: Callable[[], Json]) -> Json:
    """The response; a refusal for lack of permission names the one that is needed."""
    try:
        return request()
    except Refusal as refused:
        if refused.status != 403:
            raise
        needed = refused.missing or CREATES_ENDPOINT
        raise ApiError(f"The Stripe API key lacks the permission {needed}, to write webhook endpoints") from None


def _key(url: str, events: Sequence[str], attempt: int) -> str:
    content = "\n".join([url, VERSION, *sorted(events), str(attempt)])
    return f"pulsora-bridge-{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def _endpoint(found: Json) -> Endpoint:
    events, created = found.get("enabled_events"), found.get("created")
    return Endpoint(
        id=text(found.get("id"), 255) or "",
        url=text(found.get("url"), 2000) or "",
        events=tuple(str(one) for one in events) if isinstance(events, list) else (),
        is_enabled=found.get("status") == "enabled",
        livemode=found.get("livemode") is not False,
        secret=text(found.get("secret"), 255),
        created_by=text(table(found, "metadata").get(MARK), 255),
        created=created if isinstance(created, int) else 0,
    )
