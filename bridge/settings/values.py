"""The settings as values: a source with its policy and destination, and the service around all sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.ledger.events import Policy
from bridge.settings.names import ENDPOINT, MEBIBYTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One place that webhooks come from: a processor's endpoint, and the Pulsora project that its revenue goes to."""

    name: str
    processor: str
    secrets: tuple[str, ...] = field(repr=False)
    token: str = field(default="", repr=False)
    api_key: str | None = field(default=None, repr=False)
    endpoint: str = ENDPOINT
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    policy: Policy = field(default_factory=Policy)
    settle_seconds: float = 90
    hold_hours: float = 1
    tolerance_seconds: int = 300
    forward_test_events: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the operator decides. No secret is in its `repr`. `doubts`: what was given and has no effect."""

    sources: Mapping[str, Source]
    database_url: str = field(default="sqlite:///bridge.db", repr=False)
    rate_limit_per_hour: int = 2000
    sender_threads: int = 8
    max_body_bytes: int = 2 * MEBIBYTE
    admin_token: str | None = field(default=None, repr=False)
    retention_days: int = 30
    log_format: str = "console"
    log_level: str = "info"
    trusted_proxies: int = 0
    bind: str = "127.0.0.1:8000"
    web_workers: int = 2
    web_threads: int = 64
    doubts: tuple[str, ...] = ()
