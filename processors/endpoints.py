"""Webhook endpoints at a processor, and the faults they may have. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A webhook endpoint, as the processor's API states it.

    `created_by`: the creation that made it, for endpoints that the bridge made; see `EndpointApi.secret_of`.
    """

    id: str
    url: str
    events: tuple[str, ...]
    is_enabled: bool
    livemode: bool
    secret: str | None = field(default=None, repr=False)
    created_by: str | None = None
    created: int = 0  # Unix seconds, 0: not stated


class EndpointApi(Protocol):
    """A processor's API for webhook endpoints. Each call raises `ApiError` when the API is unreachable or refuses."""

    @property
    def livemode(self) -> bool:
        """Whether the key is of live mode."""
        ...

    @property
    def mode_settings(self) -> dict[str, str]:
        """The settings, by name, that the key's mode needs. Empty: webhooks state their mode themselves."""
        ...

    def listed(self) -> list[Endpoint]:
        """Every endpoint that the key can see."""
        ...

    def create(self, url: str, events: Sequence[str]) -> Endpoint:
        """A new endpoint, with its secret. Repeating it after a lost response makes no second one."""
        ...

    def update(self, endpoint: Endpoint, events: Sequence[str]) -> Endpoint:
        """The endpoint, enabled and with exactly these events."""
        ...

    def secret_of(self, endpoint: Endpoint, url: str, events: Sequence[str]) -> str | None:
        """The secret of an existing endpoint; None: the API does not return it."""
        ...

    def missing_permissions(self) -> dict[str, str]:
        """The permissions that the key lacks for reading, by name, with the purpose of each."""
        ...


class Fault(StrEnum):
    """The faults that the endpoints of one URL may have."""

    ABSENT = "absent"
    SEVERAL = "several"
    DISABLED = "disabled"
    WRONG_MODE = "wrong_mode"
    EVENTS = "events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One fault, in a sentence, and whether `--update` cures it."""

    fault: Fault
    text: str
    can_update: bool


def same_url(one: str, other: str) -> bool:
    """Whether two addresses are the same endpoint of the bridge; a slash at the end makes no difference."""
    return one.rstrip("/") == other.rstrip("/")


def at_url(listed: Sequence[Endpoint], url: str) -> list[Endpoint]:
    """The endpoints of a URL: the enabled ones first, then by id."""
    return sorted((one for one in listed if same_url(one.url, url)), key=lambda one: (not one.is_enabled, one.id))


def merged(endpoint: Endpoint, events: Sequence[str]) -> tuple[str, ...]:
    """The endpoint's events and the needed ones: an event that somebody else selected stays. `*` is every event."""
    if "*" in endpoint.events:
        return endpoint.events
    return tuple(dict.fromkeys([*endpoint.events, *events]))


def compare(listed: Sequence[Endpoint], url: str, events: Sequence[str], livemode: bool) -> Iterator[Compared]:
    """Everything that is wrong with the endpoints of this URL. Nothing: the endpoint is as the bridge needs it."""
    found = at_url(listed, url)
    if not found:
        yield Compared(fault=Fault.ABSENT, text=_absent(listed, url), can_update=False)
        return
    if len(found) > 1:
        ids = ", ".join(one.id for one in found)
        text = f"{len(found)} endpoints have this URL ({ids}): each webhook arrives more than once. Delete all but one"
        yield Compared(fault=Fault.SEVERAL, text=text, can_update=False)
    endpoint = found[0]
    if endpoint.livemode != livemode:
        mode, wanted = ("live", "test") if endpoint.livemode else ("test", "live")
        text = f"{endpoint.id} is an endpoint of {mode} mode, not of {wanted} mode"
        yield Compared(fault=Fault.WRONG_MODE, text=text, can_update=False)
    if not endpoint.is_enabled:
        yield Compared(fault=Fault.DISABLED, text=f"{endpoint.id} is disabled: nothing is sent", can_update=True)
    missing = [] if "*" in endpoint.events else [one for one in events if one not in endpoint.events]
    if missing:
        text = f"{endpoint.id} does not send {', '.join(missing)}"
        yield Compared(fault=Fault.EVENTS, text=text, can_update=True)


def _absent(listed: Sequence[Endpoint], url: str) -> str:
    """Names the endpoints that look like this bridge at another address, the most likely cause."""
    path = "/webhooks/"
    alike = [f"{one.url} ({one.id})" for one in listed if path in one.url and not same_url(one.url, url)]
    return f"no endpoint has the URL {url}" + (f". There is {', '.join(alike)}" if alike else "")
