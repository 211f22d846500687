"""Rounds of kill -9 at random moments under load, and their results."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.fake_pulsora import Reply, ScriptedPulsora
from tests.faults.clients import LoadGenerator, percentile
from tests.faults.consistency import ConsistencyReport, check_consistency, integrity
from tests.faults.service import SECRETS, Service, running
from tests.settings import TOKEN

PARTS = ("everything", "requests", "worker", "web", "everything", "worker", "requests")
IN_FLIGHT = 64  # deliveries that one worker has claimed and not recorded: SENDER_THREADS x MOST_A_THREAD
UPTIME_SECONDS = (0.05, 0.9)
WAIT_SECONDS = 0.005  # response delay of the fake Pulsora, so that requests are in flight at the kill


def parts_to_kill(count: int) -> list[str]:
    """The part to kill in each of `count` rounds."""
    return [PARTS[number % len(PARTS)] for number in range(count)]


@dataclass(kw_only=True)
class KillRounds:
    """The results of several rounds."""

    kills: dict[str, int] = field(default_factory=dict)
    recovery_seconds: dict[str, list[float]] = field(default_factory=dict)
    consistency: ConsistencyReport | None = None
    integrity: str = ""
    seconds: float = 0.0
    leaks: Sequence[str] = ()  # lines of the log that hold a secret

    def assert_consistent(self) -> None:
        """Asserts every invariant that a kill could break."""
        assert self.consistency is not None
        assert self.integrity in ("ok", "")
        assert self.leaks == []
        self.consistency.assert_consistent(
            resends=IN_FLIGHT * sum(self.kills.get(part, 0) for part in ("everything", "worker"))
        )

    def report(self) -> str:
        """The figures, one per line."""
        assert self.consistency is not None
        found = self.consistency
        lines = [f"rounds               {sum(self.kills.values())}: {self.kills} in {self.seconds:.0f} s"]
        lines += [
            f"recovery, {part:<10}{percentile(times, 0.5):.2f} s median, {max(times):.2f} s at most"
            for part, times in self.recovery_seconds.items()
        ]
        lines += [
            f"acknowledged         {found.acknowledged}",
            f"lost, phantom        {len(found.lost)}, {len(found.phantom)}",
            f"not at Pulsora        {len(found.missing)}, unexpected {len(found.unknown)}",
            f"sent again           {found.resends}, in other bytes {len(found.altered)}",
            f"integrity_check      {self.integrity or '(PostgreSQL)'}",
        ]
        return "\n".join(lines)


def kill_rounds(
    folder: Path,
    database_url: str,
    *,
    parts: Sequence[str],
    seed: int = 1,
    threads: int = 6,
    disabled: str | None = None,
    patience: float = 20,
) -> KillRounds:
    """Kills one part per round, in the given order, under load; then lets everything settle and compares."""
    chance, rounds, started = random.Random(seed), KillRounds(), time.monotonic()
    with ScriptedPulsora(TOKEN, rule=lambda _: Reply(delay_seconds=WAIT_SECONDS)) as pulsora, ExitStack() as stack:
        service = stack.enter_context(
            running(folder, database_url=database_url, endpoint=pulsora.endpoint, disabled=disabled)
        )
        with LoadGenerator(ports=(service.port,), threads=threads, pause_seconds=0.01) as clients:
            for part in parts:
                _round(service, clients, part, chance, rounds)
        rounds.consistency = check_consistency([clients], database_url, pulsora, patience=patience)
        rounds.leaks = service.logs_of(*SECRETS)
    if database_url.startswith("sqlite"):
        rounds.integrity = integrity(Path(database_url.removeprefix("sqlite:///")))
    rounds.seconds = time.monotonic() - started
    return rounds


def _round(service: Service, clients: LoadGenerator, part: str, chance: random.Random, rounds: KillRounds) -> None:
    """One kill at a random moment; the round ends when webhooks are acknowledged again."""
    time.sleep(chance.uniform(*UPTIME_SECONDS))
    service.kill(part)
    started, before = time.monotonic(), len(clients.acknowledged)
    if part == "everything":
        service.start()
    service.await_ready()
    clients.await_acknowledged(before + 1)
    rounds.kills[part] = rounds.kills.get(part, 0) + 1
    rounds.recovery_seconds.setdefault(part, []).append(time.monotonic() - started)
