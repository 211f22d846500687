"""One claimed stream on its way from waiting rows to revenue events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bridge.ledger import EMPTY, Settlement, State
from bridge.ledger.knowledge import NOTHING_KNOWN, Knowledge
from bridge.settings import Source
from bridge.store.inbox import InboxRow
from bridge.store.streams import Claim
from processors.facts import Fact


@dataclass(slots=True, kw_only=True)
class Work:
    """A stream, its rows, what they say, and what came of it.

    `later`: rows with facts dated ahead, by the instant at which these are due. `failed`: rows that could not be read
    or folded, with what was wrong. `extra`: facts that the processor's API told, which no row holds.
    """

    claim: Claim
    source: Source
    rows: Sequence[InboxRow] = ()
    state: State = EMPTY
    facts: dict[int, tuple[Fact, ...]] = field(default_factory=dict)
    extra: list[Fact] = field(default_factory=list)
    later: dict[int, datetime] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    knowledge: Knowledge = NOTHING_KNOWN
    settlement: Settlement | None = None

    @property
    def scope(self) -> str:
        """The ledger it belongs to."""
        return self.claim.scope

    @property
    def all_facts(self) -> list[Fact]:
        """The facts of all its rows that could be read, and what the API added."""
        return [fact for facts in self.facts.values() for fact in facts] + self.extra
