"""Traces and metrics through OpenTelemetry. Off by default: then nothing of it is imported, and each call does nothing.

A webhook's trace has an id that follows from its source and event id, so that web and worker add spans to the same
trace without passing anything between them.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from processors.values import Value

if TYPE_CHECKING:
    from bridge.otel import Exporters

Attributes = Mapping[str, str | int | bool]
Samples = Iterable[tuple[Mapping[str, str], float]]  # labels and value
ReadMetrics = Callable[[], Mapping[str, Samples]]  # by metric name


class Span(Value):
    """One step of a webhook, or of several: the first names the trace, the others are linked. `key`: source, event id.

    `is_root`: the webhook's arrival, the parent of all others. `problem`: why it failed.
    """

    name: str
    keys: Sequence[tuple[str, str]]
    began_at: datetime
    ended_at: datetime
    attributes: Attributes
    is_root: bool = False
    is_request: bool = False
    problem: str | None = None


_exporters: Exporters | None = None
_configured_in: int | None = None


def configure(endpoint: str | None, headers: str | None, role: str) -> None:
    """Starts exporting from this process. Without an endpoint it does nothing."""
    global _exporters, _configured_in
    if endpoint is None or _configured_in == os.getpid():
        return
    from bridge.otel import Exporters

    _exporters, _configured_in = Exporters(endpoint, headers, role), os.getpid()
    atexit.register(shut_down)


def is_on() -> bool:
    """Whether this process exports, for callers that would have to compute something."""
    return _exporters is not None


def record(span: Span) -> None:
    """Exports a span, later and in another thread."""
    if _exporters is not None:
        _exporters.record(span)


def measure(read: ReadMetrics, described: Iterable[tuple[str, str]]) -> None:
    """Exports the metrics that `read` returns, once a minute. `described`: name and help of each."""
    if _exporters is not None:
        _exporters.measure(read, described)


def shut_down() -> None:
    """Exports what is left, and stops."""
    global _exporters, _configured_in
    exporters, _exporters, _configured_in = _exporters, None, None
    if exporters is not None:
        exporters.shut_down()
