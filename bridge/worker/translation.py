"""Translates stored webhooks into facts: by their processor, or by the bridge for its internal events."""

from __future__ import annotations

from bridge.internal_events import attributions, erased, imports, refreshes
from bridge.settings import Settings
from bridge.store.inbox import InboxRow
from processors import processors
from processors.interface import Translation

NO_SOURCE = "its source is not configured any more: set its webhook secret again to continue"


class TranslationError(Exception):
    """A webhook whose source is gone, or whose translation failed. The message is for the operator."""


def translate(row: InboxRow, settings: Settings) -> Translation:
    """The facts of a stored webhook. Raises only `TranslationError`, whatever the body contains."""
    source = settings.sources.get(row.source)
    if source is None:
        raise TranslationError(NO_SOURCE)
    if row.body is None:
        raise TranslationError("its body was purged and cannot be read again")
    try:
        if row.body.startswith(erased.MARK):
            return erased.decode(row.body)
        if row.type == attributions.TYPE:
            return attributions.decode(row.body)
        if row.type == imports.TYPE:
            return imports.decode(row.body, row.event_id)
        if row.type == refreshes.TYPE:
            return refreshes.decode(row.body, row.event_id)
        return processors()[source.processor].translate(row.body, source.options)
    except Exception as error:  # one unexpected payload must not stop the others
        raise TranslationError(f"translation failed: {type(error).__name__}: {error}") from error
