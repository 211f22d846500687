"""Each source: its last webhook, what was refused, and since when it is silent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bridge.monitoring.health import REFUSED_WITHIN, UNSIGNED, Grade, refusal_grade
from bridge.store import arrivals, inbox, refusals
from bridge.store.refusals import RefusalSum
from processors.values import Value

WINDOW = timedelta(hours=24)

# The explanation and the remedy, by the cause of a refusal.
CURES = {
    "signature_mismatch": "The secret belongs to another endpoint. Copy the signing secret of this one.",
    "signature_missing": "The request has no signature: the processor did not send it, or a proxy removes headers.",
    "signature_malformed": "The signature header cannot be read: a proxy changes it, or another processor sends here.",
    "signature_stale": "The signature is too old or from the future. Check the clock of this machine.",
    "unreadable": "The signature is valid, but the body is not an event. Check which processor this endpoint is for.",
    "too_large": "The body is larger than MAX_BODY_BYTES.",
    "unknown_source": "No source has this name. Check the URL of the endpoint, and that its secret is set here.",
}


class SourceHealth(Value):
    """A source. `last_at`: when its latest webhook was stored; None: none was.

    `accepted_at`: when a web process accepted the latest one; None: none in 60 days. Fetched events do not count.
    `refused`: in the last 24 hours; `judged`: those of them that say something about the source.
    """

    name: str
    last_at: datetime | None
    accepted_at: datetime | None
    refused: Sequence[RefusalSum]
    judged: Sequence[RefusalSum]

    @property
    def refused_count(self) -> int:
        """How many webhooks were refused."""
        return sum(one.count for one in self.refused)

    @property
    def is_failing(self) -> bool:
        """Whether webhooks were refused since the last one was accepted, by the rule of the overview."""
        return any(refusal_grade(one, self.accepted_at) is Grade.PROBLEM for one in self.judged)


def source_health(tx: Connection, names: Iterable[str], now: datetime) -> list[SourceHealth]:
    """The configured sources, and those that only refused webhooks name."""
    refused = _by_source(refusals.since(tx, now - WINDOW))
    recent = _by_source(refusals.since(tx, now - REFUSED_WITHIN))
    return [
        SourceHealth(
            name=name,
            last_at=inbox.last_received_at(tx, name),
            accepted_at=arrivals.last_at(tx, name),
            refused=(own := refused.get(name, [])),
            # Port scanners send a few unsigned requests every hour: a day of them says no more than an hour.
            judged=[
                *(one for one in own if one.cause not in UNSIGNED),
                *(one for one in recent.get(name, ()) if one.cause in UNSIGNED),
            ],
        )
        for name in dict.fromkeys([*sorted(names), *sorted(refused)])
    ]


def _by_source(found: Iterable[RefusalSum]) -> dict[str, list[RefusalSum]]:
    grouped: dict[str, list[RefusalSum]] = {}
    for one in found:
        grouped.setdefault(one.source, []).append(one)
    return grouped
