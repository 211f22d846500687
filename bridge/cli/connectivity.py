"""Checks over the network: whether Pulsora's endpoint can be reached, and whether this machine's clock agrees."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

from bridge.cli.output import Finding, ok, problem, warning
from bridge.formatting import duration
from bridge.settings import Settings
from processors.http_client import explain_network_error

TIMEOUT_SECONDS = 10
MAX_SKEW_SECONDS = 30


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
