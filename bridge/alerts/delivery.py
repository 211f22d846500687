"""Sends messages through the library apprise, which is imported with the first message. No address is ever shown."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from bridge.alerts.lifecycle import Kind, Message
from bridge.log import HIDDEN, scrub
from processors.values import Value

SENDER = "Pulsora bridge"
MAX_REASON_LENGTH = 300
PARTS = re.compile(r"[/:@?&=,\s]+")
SHORTEST_SECRET = 4


class Sent(Value):
    """The result for one address. `name`: its number and kind, such as `2 (slack)`. `problem` None: it was sent."""

    name: str
    problem: str | None


def name_of(number: int, url: str) -> str:
    """An address as it may be shown: its place in ALERT_URLS and its kind. Everything else in it may be a secret."""
    return f"{number} ({url.partition('://')[0].lower()})"


def send(urls: Sequence[str], message: Message) -> list[Sent]:
    """Sends a message to every address. Raises nothing."""
    return [Sent(name=name_of(number, url), problem=_send(url, message)) for number, url in enumerate(urls, 1)]


def unusable(urls: Sequence[str]) -> list[Sent]:
    """The addresses that apprise does not understand."""
    found = [Sent(name=name_of(number, url), problem=_problem(url)) for number, url in enumerate(urls, 1)]
    return [one for one in found if one.problem is not None]


def _problem(url: str) -> str | None:
    import apprise

    with _Notes() as notes:
        plugin = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    return None if plugin is not None else _reason(notes, url) or "apprise does not understand this address"


def _send(url: str, message: Message) -> str | None:
    import apprise

    kinds = {Kind.CLEARED: apprise.NotifyType.SUCCESS, Kind.RAISED: apprise.NotifyType.FAILURE}
    with _Notes() as notes:
        target = apprise.Apprise(asset=apprise.AppriseAsset(app_id=SENDER, app_desc=SENDER, async_mode=False))
        if not target.add(url):
            return _reason(notes, url) or "apprise does not understand this address"
        try:
            is_sent = target.notify(
                body=message.body,
                title=f"{SENDER}: {message.title}",
                notify_type=kinds.get(message.kind, apprise.NotifyType.WARNING),
                body_format=apprise.NotifyFormat.TEXT,
            )
        except Exception as error:  # a plugin's own fault must not stop the others
            return f"{type(error).__name__}: {_masked(str(error), url)}"[:MAX_REASON_LENGTH]
    return None if is_sent else _reason(notes, url) or "it was not accepted"


def _reason(notes: _Notes, url: str) -> str:
    return _masked("; ".join(dict.fromkeys(notes.lines)), url)[:MAX_REASON_LENGTH]


def _masked(text: str, url: str) -> str:
    """The text without any part of the address."""
    for part in sorted(PARTS.split(url.partition("://")[2]), key=len, reverse=True):
        if len(part) >= SHORTEST_SECRET:
            text = text.replace(part, HIDDEN)
    return scrub(text)


class _Notes(logging.Handler):
    """Collects apprise's warnings, which state the reason, and keeps them out of the log: they contain addresses."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._logger = logging.getLogger("apprise")

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self) -> _Notes:
        self._before: Any = self._logger.propagate, self._logger.level
        self._logger.addHandler(self)
        self._logger.propagate = False
        self._logger.setLevel(logging.WARNING)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate, level = self._before
        self._logger.setLevel(level)
