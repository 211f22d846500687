"""Paddle's notification destinations: create, compare, merge (developer.paddle.com, notification-settings)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from processors.endpoints import Endpoint, at_url
from processors.http_client import Refusal, missing_permissions
from processors.interface import ApiError
from processors.paddle.api import SANDBOX, PaddleApi, base_url, host_of
from processors.paddle.connection import CREATES_ENDPOINT, READS
from processors.paddle.envelope import ENVIRONMENT
from processors.payload import Json, rows, text


def connect(key: str, options: Mapping[str, str]) -> PaddleEndpoints:
    """The notification destinations of the account and environment of a key."""
    livemode = host_of(key, options.get(ENVIRONMENT.name)) != SANDBOX
    return PaddleEndpoints(api=PaddleApi(key, base_url(key, options)), livemode=livemode)


@dataclass(kw_only=True)
class PaddleEndpoints:
    """Implements `processors.endpoints.EndpointApi`. A destination does not state its mode: it is the key's."""

    api: PaddleApi
    livemode: bool

    @property
    def mode_settings(self) -> dict[str, str]:
        """The environment, which Paddle's webhooks do not state."""
        return {ENVIRONMENT.name: "live" if self.livemode else "sandbox"}

    def listed(self) -> list[Endpoint]:
        """Every destination that is a URL; the others are e-mail addresses."""
        return [self._endpoint(found) for found in self.api.notification_settings() if found.get("type") == "url"]

    def create(self, url: str, events: Sequence[str]) -> Endpoint:
        """A new destination. Without idempotency keys, a lost response is followed by a look at the list."""
        body = {
            "description": "Pulsora bridge",
            "type": "url",
            "destination": url,
            "api_version": 1,
            "include_sensitive_fields": False,
            "traffic_source": "all",
            "subscribed_events": list(events),
        }
        try:
            return self._endpoint(_permitted(lambda: self.api.create_notification_setting(body)))
        except Refusal as refused:
            if refused.permanent:
                raise
            for made in at_url(self.listed(), url):
                return made
            raise

    def update(self, endpoint: Endpoint, events: Sequence[str]) -> Endpoint:
        """The destination, active and with exactly these events."""
        body = {"subscribed_events": list(events), "active": True}
        return self._endpoint(_permitted(lambda: self.api.update_notification_setting(endpoint.id, body)))

    def secret_of(self, endpoint: Endpoint, url: str, events: Sequence[str]) -> str | None:
        """The destination's secret key, which Paddle returns every time."""
        return endpoint.secret

    def missing_permissions(self) -> dict[str, str]:
        """The permissions that the key lacks, by Paddle's name."""
        return missing_permissions(self.api.probe, READS)

    def _endpoint(self, found: Json) -> Endpoint:
        names = [text(one.get("name"), 255) for one in rows(found, "subscribed_events")]
        return Endpoint(
            id=text(found.get("id"), 255) or "",
            url=text(found.get("destination"), 2000) or "",
            events=tuple(name for name in names if name),
            is_enabled=found.get("active") is not False,
            livemode=self.livemode,
            secret=text(found.get("endpoint_secret_key"), 255),
        )


def _permitted(request: Callable[[], Json]) -> Json:
    """The response; a refusal for lack of permission names the one that is needed."""
    try:
        return request()
    except Refusal as refused:
        if refused.status != 403:
            raise
        raise ApiError(f"The Paddle API key lacks the permission {CREATES_ENDPOINT}") from None
