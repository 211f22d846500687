"""Translates stored webhooks into facts: by their processor, or by the bridge for its internal events."""

from __future__ import annotations

from collections import OrderedDict

from bridge.internal_events import attributions, erased, imports, refreshes
from bridge.settings import Settings
from bridge.store.inbox import InboxRow
from processors import processors
from processors.interface import Translation

KEPT = 4000  # translations of one worker, about 10 MB
NO_SOURCE = "its source is not configured any more: set its webhook secret again to continue"


class TranslationError(Exception):
    """A webhook whose source is gone, or whose translation failed. The message is for the operator."""


class Translations:
    """The translations of a worker. A webhook is translated when it is routed, and not again when it is settled soon.

    A translation is used only for the same body: an erasure replaces it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: OrderedDict[tuple[int, str, int], Translation] = OrderedDict()

    def of(self, row: InboxRow) -> Translation:
        """As `translate`."""
        key = (row.id, row.event_id, hash(row.compressed_body))
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = translate(row, self._settings)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found


def translate(row: InboxRow, settings: Settings) -> Translation:
    """The facts of a stored webhook. Raises only `TranslationError`, whatever the body contains."""
    source = settings.sources.get(row.source)
    if source is None:
        raise TranslationError(NO_SOURCE)
    body = row.body
    if body is None:
        raise TranslationError("its body was purged and cannot be read again")
    try:
        if body.startswith(erased.MARK):
            return erased.decode(body)
        if row.type == attributions.TYPE:
            return attributions.decode(body)
        if row.type == imports.TYPE:
            return imports.decode(body, row.event_id)
        if row.type == refreshes.TYPE:
            return refreshes.decode(body, row.event_id)
        return processors()[source.processor].translate(body, source.options)
    except Exception as error:  # one unexpected payload must not stop the others
        raise TranslationError(f"translation failed: {type(error).__name__}: {error}") from error
