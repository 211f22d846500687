"""Checks over the network: Pulsora's endpoint, this machine's clock, the processors' APIs, the bridge's public URL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

from bridge.cli.environment import api_key_setting, local_address
from bridge.cli.output import Finding, ok, problem, warning
from bridge.formatting import duration, quantity
from bridge.settings import Settings, Source
from processors import processors
from processors.endpoints import EndpointApi, Fault, compare
from processors.http_client import explain_network_error
from processors.interface import ApiError

TIMEOUT_SECONDS = 10
MAX_SKEW_SECONDS = 30
NO_COMMAND = (Fault.SEVERAL, Fault.WRONG_MODE)  # faults that only the processor's dashboard cures


def check_endpoints(settings: Settings) -> Iterator[Finding]:
    """Sends OPTIONS to each endpoint, without token or revenue."""
    for endpoint in sorted({source.endpoint for source in settings.sources.values() if not source.dry_run}):
        requested_at = datetime.now(UTC)
        try:
            response = requests.options(endpoint, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            reason = f"{endpoint} is unreachable: {explain_network_error(error)}"
            yield problem("endpoint", f"{reason}. Check PULSORA_ENDPOINT, the network and any proxy")
            continue
        yield _endpoint(endpoint, response)
        yield check_clock(response.headers.get("Date"), requested_at)


def _endpoint(endpoint: str, response: requests.Response) -> Finding:
    if response.is_redirect:
        return problem(
            "endpoint", f"{endpoint} redirects, and redirects are not followed. Set PULSORA_ENDPOINT to the new address"
        )
    return ok("endpoint", f"{endpoint} is reachable (status {response.status_code} to OPTIONS, sent without the token)")


def check_clock(date: str | None, now: datetime) -> Finding:
    """Compares this machine's clock with the `Date` header of a response."""
    try:
        skew = abs((parsedate_to_datetime(date or "") - now).total_seconds())
    except (TypeError, ValueError):
        return warning("clock", "could not be compared: the endpoint sends no date")
    if skew > MAX_SKEW_SECONDS:
        return problem(
            "clock",
            f"differs by {duration(skew)} from the endpoint's. Valid webhook signatures will be rejected as stale: "
            "set up NTP",
        )
    return ok("clock", f"within {max(skew, 1):.0f} s of the endpoint's")


# ---- Processors ------------------------------------------------------------------------------------------------


def check_processors(settings: Settings) -> Iterator[Finding]:
    """Tries each API key, and compares the webhook endpoint at the processor with what the bridge needs."""
    for source in settings.sources.values():
        key = source.api_key
        api = None if key is None else processors()[source.processor].connect_endpoints(key, source.options)
        if api is None:
            continue
        about = f"source {source.name}"
        try:
            yield from _permissions(about, source, api)
            yield from _endpoint_at_processor(about, source, api, settings.public_url)
        except ApiError as error:
            yield problem(about, str(error))


def _permissions(about: str, source: Source, api: EndpointApi) -> Iterator[Finding]:
    processor = processors()[source.processor]
    name = api_key_setting(source)
    missing = api.missing_permissions()
    if missing:
        listed = ", ".join(f"{permission} ({purpose})" for permission, purpose in missing.items())
        page = processor.key_page
        cure = f". Create a key with all: {page(api.livemode, source.options)}" if page else ""
        yield problem(about, f"{name} lacks {quantity(len(missing), 'permission')}: {listed}{cure}")
    else:
        yield ok(about, f"{name} has every permission that the bridge needs")
    if not api.livemode and not source.forward_test_events:
        yield warning(about, f"{name} is of test mode: its webhooks are test traffic, which Pulsora does not receive")
    wrong = {one: value for one, value in api.mode_settings.items() if source.options.get(one, "live") != value}
    for setting, value in wrong.items():
        yield problem(about, f"{name} is of another environment than {setting} says. Set {setting}={value}")


def _endpoint_at_processor(about: str, source: Source, api: EndpointApi, public: str | None) -> Iterator[Finding]:
    if public is None:
        yield ok(about, "PUBLIC_URL is not set: the webhook endpoint at the processor was not compared")
        return
    route = f"{public}/webhooks/{source.name}"
    found = list(compare(api.listed(), route, processors()[source.processor].event_types, api.livemode))
    for one in found:
        action = "--update" if one.can_update else "--create"
        cure = "" if one.fault in NO_COMMAND else f". Run: pulsora-bridge setup {source.name} {action}"
        yield problem(about, f"{one.text}{cure}")
    if not found:
        yield ok(about, f"the endpoint {route} is enabled and has all needed events")


def check_web(settings: Settings) -> Iterator[Finding]:
    """Asks the bridge's own /readyz: the way a processor reaches it, or on this machine without PUBLIC_URL."""
    if settings.public_url is not None:
        yield from _public_url(settings.public_url)
    elif not settings.bind.startswith("unix:"):
        yield _local_web(f"http://{local_address(settings.bind)}")


def _local_web(url: str) -> Finding:
    session = requests.Session()
    session.trust_env = False  # no proxy of the environment
    try:
        response = session.get(f"{url}/readyz", timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException:
        away = "Set PUBLIC_URL if it runs elsewhere, or start it: pulsora-bridge serve"
        return warning("web", f"no web process responds at {url}, so no webhook arrives. {away}")
    if response.status_code == 200:
        return ok("web", f"{url} is ready; set PUBLIC_URL to check the way from the processor, too")
    status = f"{url}/readyz responds {response.status_code}"
    if response.status_code == 503:
        return problem("web", f"{status}. The log of the web process says why")
    return warning("web", f"{status}: another program may listen there. Correct BIND or set PUBLIC_URL")


def _public_url(public: str) -> Iterator[Finding]:
    try:
        response = requests.get(f"{public}/readyz", timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        reason = f"{public}/readyz is unreachable: {explain_network_error(error)}"
        yield problem("public URL", f"{reason}. Check DNS, the proxy, and that the bridge is running")
        return
    if response.status_code == 200:
        yield ok("public URL", f"{public} reaches a bridge that is ready")
    else:
        status = f"{public}/readyz responds {response.status_code}"
        yield problem(
            "public URL", f"{status}. Check that the proxy passes requests on, and that the bridge is running"
        )
