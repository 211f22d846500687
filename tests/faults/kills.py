"""Rounds of kill -9 at random moments under load, and what came of them."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.fake_pulsora import Reply, ScriptedPulsora
from tests.faults.clients import Crowd, percentile
from tests.faults.reckoning import Reckoning, integrity, reckon
from tests.faults.service import SECRETS, Service, running
from tests.settings import TOKEN

PARTS = ("everything", "requests", "worker", "web", "everything", "worker", "requests")
IN_HAND = 64  # what one worker has claimed and not recorded: SENDER_THREADS x MOST_A_THREAD
SECONDS_OF_LIFE = (0.05, 0.9)
WAIT_SECONDS = 0.005  # of the stand-in, so that posts are on their way when the kill comes


def first(count: int) -> list[str]:
    """The parts that so many rounds kill."""
    return [PARTS[number % len(PARTS)] for number in range(count)]


@dataclass(kw_only=True)
class Rounds:
    """What several rounds came to."""

    kills: dict[str, int] = field(default_factory=dict)
    back_seconds: dict[str, list[float]] = field(default_factory=dict)
    reckoning: Reckoning | None = None
    integrity: str = ""
    seconds: float = 0.0
    leaks: Sequence[str] = ()  # lines of the log that hold a secret

    def demand_truth(self) -> None:
        """Every invariant that a kill could break."""
        assert self.reckoning is not None
        assert self.integrity in ("ok", "")
        assert self.leaks == []
        self.reckoning.demand_truth(resends=IN_HAND * sum(self.kills.get(part, 0) for part in ("everything", "worker")))

    def told(self) -> str:
        """The figures, a line each."""
        assert self.reckoning is not None
        found = self.reckoning
        lines = [f"rounds               {sum(self.kills.values())}: {self.kills} in {self.seconds:.0f} s"]
        lines += [
            f"back after {part:<10}{percentile(times, 0.5):.2f} s median, {max(times):.2f} s at most"
            for part, times in self.back_seconds.items()
        ]
        lines += [
            f"acknowledged         {found.acknowledged}",
            f"lost, phantom        {len(found.lost)}, {len(found.phantom)}",
            f"never at Pulsora     {len(found.missing)}, invented {len(found.unknown)}",
            f"sent again           {found.resends}, in other bytes {len(found.altered)}",
            f"integrity_check      {self.integrity or '(PostgreSQL)'}",
        ]
        return "\n".join(lines)


def kill_rounds(
    folder: Path, database_url: str, *, parts: Sequence[str], seed: int = 1, threads: int = 6, guard: str | None = None
) -> Rounds:
    """Kills one part a round, in the order given, while webhooks come in; then lets all settle and compares."""
    chance, rounds, began = random.Random(seed), Rounds(), time.monotonic()
    with ScriptedPulsora(TOKEN, rule=lambda _: Reply(delay_seconds=WAIT_SECONDS)) as ingest, ExitStack() as stack:
        service = stack.enter_context(running(folder, database_url=database_url, endpoint=ingest.endpoint, guard=guard))
        with Crowd(ports=(service.port,), threads=threads, pause_seconds=0.01) as crowd:
            for part in parts:
                _round(service, crowd, part, chance, rounds)
        rounds.reckoning = reckon([crowd], database_url, ingest)
        rounds.leaks = service.logs_of(*SECRETS)
    if database_url.startswith("sqlite"):
        rounds.integrity = integrity(Path(database_url.removeprefix("sqlite:///")))
    rounds.seconds = time.monotonic() - began
    return rounds


def _round(service: Service, crowd: Crowd, part: str, chance: random.Random, rounds: Rounds) -> None:
    """One kill at a random moment; the round ends when webhooks are acknowledged again."""
    time.sleep(chance.uniform(*SECONDS_OF_LIFE))
    service.kill(part)
    began, before = time.monotonic(), len(crowd.acknowledged)
    if part == "everything":
        service.start()
    service.await_ready()
    crowd.await_acknowledged(before + 1)
    rounds.kills[part] = rounds.kills.get(part, 0) + 1
    rounds.back_seconds.setdefault(part, []).append(time.monotonic() - began)
