"""Whether the webhook endpoint at the processor still sends here what the bridge needs."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from bridge.settings import Source
from processors import processors
from processors.endpoints import Endpoint, Fault, compare
from processors.interface import ApiError

BY_HAND = (Fault.SEVERAL, Fault.WRONG_MODE)  # no command of the bridge cures them


def faults_of(source: Source, public_url: str | None) -> tuple[str, ...] | None:
    """Everything that is wrong with the endpoint, each with its cure. None: it cannot be compared.

    It cannot without an API, a key that may read endpoints, or knowledge of the bridge's own address.
    """
    processor = processors()[source.processor]
    api = None if source.api_key is None else processor.connect_endpoints(source.api_key, source.options)
    if api is None:
        return None
    try:
        listed = api.listed()
    except ApiError:  # `check` names the permission that the key lacks
        return None
    route = own_route(listed, source.name, public_url)
    if route is None:
        return None
    found = compare(listed, route, processor.event_types, api.livemode)
    return tuple(f"{one.text}{_cure(source.name, one.fault, one.can_update)}" for one in found)


def own_route(listed: Sequence[Endpoint], source: str, public_url: str | None) -> str | None:
    """The address of this source's endpoint. Without PUBLIC_URL, the only one at the processor that ends like it."""
    path = f"/webhooks/{source}"
    if public_url is not None:
        return f"{public_url}{path}"
    alike = {one.url.rstrip("/") for one in listed if urlsplit(one.url).path.rstrip("/").endswith(path)}
    return alike.pop() if len(alike) == 1 else None


def _cure(source: str, fault: Fault, can_update: bool) -> str:
    if fault in BY_HAND:
        return ""
    return f". Run: pulsora-bridge setup {source} {'--update' if can_update else '--create'}"
