"""The settings as values, each declared at its field: a source with its policy and destination, and the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum

from bridge.ledger.policy import Policy
from bridge.settings.declarations import (
    DEFAULT_MAX_BODY_BYTES,
    MEBIBYTE,
    Setting,
    alert_urls,
    database,
    endpoint_url,
    listen_address,
    number,
    one_of,
    otlp_endpoint,
    public_url,
    secret_token,
    setting,
    settings_of,
    switch,
    text,
    whole,
)


class LogFormat(StrEnum):
    """`LOG_FORMAT`."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """`LOG_LEVEL`."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One processor's webhook endpoint, and the Pulsora project that its revenue goes to."""

    name: str
    processor: str
    secrets: tuple[str, ...] = field(repr=False)
    api_key: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    policy: Policy = field(default_factory=Policy)

    token: str = setting(
        "PULSORA_SECRET_TOKEN",
        secret_token,
        "",
        "the secret token of your Pulsora project",
        example="sec_…",
        is_secret=True,
    )
    endpoint: str = setting(
        "PULSORA_ENDPOINT", endpoint_url, "https://pulsora.co/api/ingest", "where revenue events are sent"
    )
    settle_seconds: float = setting(
        "SETTLE_SECONDS",
        number(0, 3600),
        90.0,
        "how long no new webhook of a customer may arrive before the earlier ones are settled",
    )
    settle_quiet_seconds: float = setting(
        "SETTLE_QUIET_SECONDS",
        number(0, 3600),
        2.0,
        "how long no new webhook of a customer may arrive before they are settled when nothing is missing",
    )
    tolerance_seconds: int = setting(
        "SIGNATURE_TOLERANCE_SECONDS",
        whole(1, 86400),
        300,
        "how far a signature's timestamp may be in the past or the future",
    )
    hold_hours: float = setting(
        "HOLD_HOURS", number(0, 720), 1.0, "how long a held revenue event waits for its attribution"
    )
    silence_hours: float | None = setting(
        "SILENCE_HOURS",
        number(0, 8760),
        None,
        "hours without a webhook that raise an alert; not set: three times the source's longest usual gap; 0: no alert",
        example="24",
    )
    forward_test_events: bool = setting("FORWARD_TEST_EVENTS", switch, False, "send test-mode revenue to Pulsora too")
    dry_run: bool = setting("DRY_RUN", switch, False, "process webhooks, send nothing to Pulsora")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. No secret is in its `repr`. `warnings`: names that were set but have no effect."""

    sources: Mapping[str, Source]
    warnings: tuple[str, ...] = ()

    database_url: str = setting(
        "DATABASE_URL",
        database,
        "sqlite:///bridge.db",
        "the database: an SQLite file or PostgreSQL",
        is_secret=True,
    )
    rate_limit_per_hour: int = setting(
        "RATE_LIMIT_PER_HOUR", whole(0, 10**9), 2000, "requests to Pulsora in any hour; 0: no limit"
    )
    sender_threads: int = setting("SENDER_THREADS", whole(1, 128), 8, "how many revenue events are sent concurrently")
    max_body_bytes: int = setting(
        "MAX_BODY_BYTES", whole(1024, 64 * MEBIBYTE), DEFAULT_MAX_BODY_BYTES, "the largest request body accepted"
    )
    admin_token: str | None = setting(
        "ADMIN_TOKEN",
        text,
        None,
        "the token for /admin and POST /attributions; not set: both are disabled",
        example="a-long-random-text",
        is_secret=True,
    )
    public_url: str | None = setting(
        "PUBLIC_URL",
        public_url,
        None,
        "the address under which processors reach the bridge, for setup, check and links",
        example="https://hooks.example.com",
    )
    retention_days: int = setting(
        "RETENTION_DAYS", whole(1, 3650), 30, "how long webhook bodies are kept after they were settled"
    )
    alert_urls: tuple[str, ...] = setting(
        "ALERT_URLS",
        alert_urls,
        (),
        "where alerts are sent: addresses of apprise (mail, Slack, Telegram, webhooks and others), separated by commas",
        example="mailtos://user:password@example.com, slack://…",
        is_secret=True,
    )
    reconcile_hours: float = setting(
        "RECONCILE_HOURS",
        number(0, 720),
        6.0,
        "hours between two comparisons with the processor's list of events, for sources with an API key; 0: none",
    )
    audit_hours: float = setting(
        "AUDIT_HOURS",
        number(0, 720),
        24.0,
        "hours between two audits against the processor's own lists, for sources with an API key; 0: none",
    )
    otlp_endpoint: str | None = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        otlp_endpoint,
        None,
        "the OpenTelemetry collector that receives traces and metrics, by OTLP over HTTP; not set: none",
        example="http://127.0.0.1:4318",
    )
    otlp_headers: str | None = setting(
        "OTEL_EXPORTER_OTLP_HEADERS",
        text,
        None,
        "headers for the collector, such as its key",
        example="api-key=…",
        is_secret=True,
    )
    log_format: str = setting(
        "LOG_FORMAT", one_of(LogFormat), LogFormat.CONSOLE, "format of the log lines: console or json"
    )
    log_level: str = setting(
        "LOG_LEVEL", one_of(LogLevel), LogLevel.INFO, "lowest level that is logged: debug, info, warning or error"
    )
    trusted_proxies: int = setting(
        "TRUSTED_PROXIES", whole(0, 10), 0, "number of proxies whose X-Forwarded-For is trusted", example="1"
    )
    bind: str = setting(
        "BIND", listen_address, "127.0.0.1:8000", "the address to listen on: host:port, or unix:/path of a socket"
    )
    web_workers: int = setting("WEB_WORKERS", whole(1, 64), 2, "web processes, each pinned to one CPU")
    web_threads: int = setting("WEB_THREADS", whole(1, 1024), 64, "threads of each web process")
    worker_processes: int = setting(
        "WORKER_PROCESSES", whole(1, 64), 1, "processes of `serve` that settle and send, each pinned to one CPU"
    )


def _of_policy(name: str, help_text: str, example: str | None = None) -> Setting:
    """A setting whose type and default are those of a field of the ledger's policy, which reads no settings."""
    default = next(one.default for one in fields(Policy) if one.name == name)
    return Setting(
        name=name.upper(),
        check=one_of(type(default)) if isinstance(default, StrEnum) else text,
        default=default,
        example=str(default) if example is None else example,
        help=help_text,
    )


POLICY_SETTINGS: Mapping[str, Setting] = {
    one.name.lower(): one
    for one in (
        _of_policy("unattributed", "revenue without attribution: hold, send or drop"),
        _of_policy("fingerprint_key", "the metadata key of the visitor's fingerprint"),
        _of_policy("session_key", "the metadata key of the session id"),
        _of_policy("customer_id_key", "the metadata key of your own customer id, as passed to identify", "user_id"),
        _of_policy("amount_basis", "amounts with tax (gross) or without (net_of_tax)"),
        _of_policy("refund_amount", "the sign of a refund's amount: negative or positive"),
        _of_policy("movement_amount", "the amount of an event without a payment: zero or mrr"),
        _of_policy("churn_at", "a scheduled cancellation counts as churn at its end or at its request"),
        _of_policy("mrr_discounts", "the discounts that lower MRR: forever, recurring or none"),
        _of_policy(
            "movements_by", "the event type of a movement follows the MRR of the subscription or of the customer"
        ),
    )
}
SOURCE_SETTINGS = (*settings_of(Source).values(), *POLICY_SETTINGS.values())
SERVICE_SETTINGS = tuple(settings_of(Settings).values())
