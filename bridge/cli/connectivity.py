"""Whether Pulsora's endpoint can be reached, and whether this machine's clock agrees with it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests

from bridge.cli.findings import Finding, ok, problem, warning
from bridge.settings import Settings
from bridge.span import span

TIMEOUT_SECONDS = 10
SKEW_SECONDS = 30


def endpoints(found: Settings) -> Iterator[Finding]:
    """Asks each endpoint OPTIONS: without token and revenue, only to see whether it can be reached."""
    for endpoint in sorted({source.endpoint for source in found.sources.values() if not source.dry_run}):
        asked_at = datetime.now(UTC)
        try:
            answer = requests.options(endpoint, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            told = f"{endpoint} cannot be reached: {cause(error)}. Check PULSORA_ENDPOINT, the network and any proxy"
            yield problem("endpoint", told)
            continue
        yield _answered(endpoint, answer)
        yield clock(answer.headers.get("Date"), asked_at)


def _answered(endpoint: str, answer: requests.Response) -> Finding:
    if answer.is_redirect:
        return problem("endpoint", f"{endpoint} redirects, and redirects are not followed. Set PULSORA_ENDPOINT anew")
    return ok("endpoint", f"{endpoint} answers: {answer.status_code} to OPTIONS. No token and no revenue was sent")


def cause(error: requests.RequestException) -> str:
    """What happened, without the wrappings that requests and urllib3 put around it."""
    inner: BaseException = error
    while (deeper := _within(inner)) is not None:
        inner = deeper
    return str(inner).rpartition(": ")[2] or type(inner).__name__


def _within(error: BaseException) -> BaseException | None:
    candidates = (getattr(error, "reason", None), *error.args)
    return next((one for one in candidates if isinstance(one, BaseException)), None)


def clock(date: str | None, now: datetime) -> Finding:
    """How this machine's clock stands beside the `Date` of an answer."""
    try:
        skew = abs((parsedate_to_datetime(date or "") - now).total_seconds())
    except (TypeError, ValueError):
        return warning("clock", "could not be compared: the endpoint sends no date")
    if skew > SKEW_SECONDS:
        return problem("clock", f"is {span(skew)} off the endpoint's. Good signatures will look stale: set up NTP")
    return ok("clock", f"within {max(skew, 1):.0f} s of the endpoint's")
