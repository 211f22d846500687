"""The facts that `serve` states at its start: lines for people, one log event for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from bridge import __version__, log
from bridge.settings import Settings, Source
from bridge.settings.model import LogFormat


def announce(settings: Settings) -> None:
    """States version, addresses, database and destinations on stderr, next to the log: as lines, or as one event."""
    if settings.log_format == LogFormat.JSON:
        log.configure(settings.log_format, settings.log_level)
        import structlog  # not above: `configure` imports it faster

        structlog.get_logger().info("serving", **facts(settings))
        return
    sys.stderr.write("".join(f"{line}\n" for line in lines(settings)))


def lines(settings: Settings) -> Iterator[str]:
    """The start message, a line per fact."""
    stated = facts(settings)
    yield f"Pulsora bridge {stated['version']} listens on {stated['address']}"
    for name, url in webhook_urls(settings).items():
        yield f"  webhooks   {name}: {url}"
    yield f"  console    {stated['console']}"
    yield f"  database   {stated['database']}"
    for name, source in settings.sources.items():
        yield f"  pulsora    {name}: {destination_of(source)}"
    if settings.public_url is None:
        yield "  PUBLIC_URL is not set: processors need the address of your proxy in front of these paths"


def facts(settings: Settings) -> Mapping[str, object]:
    """The same as one event."""
    return {
        "version": __version__,
        "address": settings.bind if settings.bind.startswith("unix:") else f"http://{settings.bind}",
        "webhooks": webhook_urls(settings),
        "console": _console(settings),
        "database": _without_password(settings.database_url),
        "destinations": {name: destination_of(source) for name, source in settings.sources.items()},
    }


def webhook_urls(settings: Settings) -> dict[str, str]:
    """The address of each source's webhooks, under PUBLIC_URL if it is set."""
    return {name: f"{_base(settings)}/webhooks/{name}" for name in settings.sources}


def destination_of(source: Source) -> str:
    """Where revenue events go, and in which mode."""
    if source.dry_run:
        return "nowhere (DRY_RUN)"
    mode = "live and test revenue (FORWARD_TEST_EVENTS)" if source.forward_test_events else "live revenue"
    return f"{source.endpoint}, {mode}"


def _console(settings: Settings) -> str:
    if settings.admin_token is None:
        return "off: set ADMIN_TOKEN to a long random text, such as the output of: openssl rand -hex 24"
    return f"{_base(settings)}/admin/ (log in with ADMIN_TOKEN)"


def _base(settings: Settings) -> str:
    if settings.public_url is not None:
        return settings.public_url
    return "" if settings.bind.startswith("unix:") else f"http://{settings.bind}"


def _without_password(url: str) -> str:
    if url.startswith("sqlite:"):
        return str(Path(url.removeprefix("sqlite:///").partition("?")[0]).absolute())
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
