"""The sources with their settings, and the set-up page that is shown until the first webhook arrives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response

from bridge.monitoring.source_health import CURES, SourceHealth, source_health
from bridge.settings import SERVICE_SETTINGS, Settings, Source
from bridge.settings.declarations import settings_of
from bridge.settings.model import POLICY_SETTINGS
from bridge.store import queues
from bridge.web.admin.page import render
from bridge.web.admin.session import admin_only
from bridge.web.context import context
from processors import processors
from processors.interface import Processor
from processors.values import Value

MASK = "•••"
NOT_SET = "not set"


class SourcePage(Value):
    """A source with the address of its endpoint. `settings`: name and value, secrets masked."""

    source: Source
    processor: Processor
    url: str
    health: SourceHealth
    settings: Mapping[str, str]

    @property
    def steps(self) -> list[str]:
        """How to make the processor send webhooks."""
        steps = self.processor.setup_steps or ("Add a webhook endpoint with the URL {url}, and select these events:",)
        return [step.format(url=self.url) for step in steps]


def mount(bp: Blueprint) -> None:
    """Adds the pages."""
    bp.get("/admin/sources")(admin_only(sources))
    bp.get("/admin/sources/setup")(admin_only(setup))


def sources() -> Response:
    """Every source: last webhook, refused ones with the cause, and the settings in effect."""
    pages, unknown = read_pages()
    return render("sources.html", pages=pages, unknown=unknown, cures=CURES, service=dict(_service(context().settings)))


def setup() -> Response:
    """How to connect each source, and what arrives meanwhile."""
    pages, unknown = read_pages()
    is_waiting = all(page.health.last_at is None for page in pages)
    return render("setup.html", pages=pages, unknown=unknown, cures=CURES, is_waiting=is_waiting)


def has_anything() -> bool:
    """Whether anything was ever stored. Until then the first page is the set-up."""
    with context().store.reading() as tx:
        return queues.has_anything(tx)


def read_pages() -> tuple[list[SourcePage], list[SourceHealth]]:
    """The configured sources; and names that only refused webhooks used."""
    settings = context().settings
    with context().store.reading() as tx:
        found = source_health(tx, settings.sources, datetime.now(UTC))
    pages = [
        SourcePage(
            source=source,
            processor=processors()[source.processor],
            url=endpoint(one.name),
            health=one,
            settings=dict(_settings(source)),
        )
        for one in found
        if (source := settings.sources.get(one.name)) is not None
    ]
    return pages, [one for one in found if one.name not in settings.sources]


def endpoint(name: str) -> str:
    """The address for the processor: under PUBLIC_URL, else under the address of this request."""
    public: str | None = getattr(context().settings, "public_url", None)
    return (public or request.host_url).rstrip("/") + url_for(".receive", name=name)


def _settings(source: Source) -> Iterator[tuple[str, str]]:
    processor = processors()[source.processor]
    yield processor.secret.name, _masked(source.secrets)
    if processor.api_key is not None:
        yield processor.api_key.name, MASK if source.api_key else NOT_SET
    for option in processor.options:
        value = source.options.get(option.name, "")
        yield option.name, MASK if option.secret and value else value or NOT_SET
    for field, setting in settings_of(Source).items():
        yield setting.name, MASK if "TOKEN" in setting.name else _text(getattr(source, field))
    for field, setting in POLICY_SETTINGS.items():
        yield setting.name, _text(getattr(source.policy, field))


def _service(settings: Settings) -> Iterator[tuple[str, str]]:
    secret = {"DATABASE_URL", "ADMIN_TOKEN", "OTEL_EXPORTER_OTLP_HEADERS"}
    by_name = {setting.name: getattr(settings, field) for field, setting in settings_of(Settings).items()}
    for setting in SERVICE_SETTINGS:
        value = by_name[setting.name]
        is_secret = setting.name in secret or "TOKEN" in setting.name or "ALERT" in setting.name
        yield setting.name, (MASK if value else NOT_SET) if is_secret else _text(value)


def _masked(secrets: tuple[str, ...]) -> str:
    return NOT_SET if not secrets else f"{MASK} ({len(secrets)} secrets)" if len(secrets) > 1 else MASK


def _text(value: object) -> str:
    if value is None or value == "":
        return NOT_SET
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, StrEnum):
        return value.value
    return f"{value:g}" if isinstance(value, float) else str(value)
