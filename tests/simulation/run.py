"""Plays seeds of the simulation.

python tests/simulation/run.py --seed 4711                the trace of one seed
python tests/simulation/run.py --seeds 100000 --from 0    many, with the failing ones
python tests/simulation/run.py --seed 1 --years 10        one merchant with many customers
DISABLED_GUARDS=no_heads python tests/simulation/run.py --until-broken    the first that notices it
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
# A dependency of the tests installs a package of this name, which would be found instead of this folder.
sys.modules["tests"] = ModuleType("tests")
sys.modules["tests"].__path__ = [str(ROOT / "tests")]

if os.environ.get("DISABLED_GUARDS"):
    import tests.faults.disabled_guards  # noqa: F401

from tests.simulation.environment import Database, opened  # noqa: E402
from tests.simulation.play import Played, play  # noqa: E402

MEMORY = Path("/dev/shm")


def main() -> int:
    """Plays, prints, and returns the exit status: 1 when an invariant does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="play this one, and print its trace")
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first of them")
    parser.add_argument("--until-broken", action="store_true", help="stop at the first that fails")
    parser.add_argument("--years", type=int, default=0, help="of one merchant with many customers, in each seed")
    parser.add_argument("--seconds", type=float, default=None, help="stop after so many seconds")
    parser.add_argument("--database", help="the URL of an empty PostgreSQL database; default: SQLite in memory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        database = opened(options.database or f"sqlite:///{folder}/bridge.db")
        if options.seed is not None:
            played = play(database, options.seed, options.years)
            sys.stdout.write("\n".join(played.trace) + f"\n{played.digest}\n")
            return int(played.broken is not None)
        seeds = range(options.first, options.first + options.seeds)
        return many(database, seeds, options)


def many(database: Database, seeds: range, options: argparse.Namespace) -> int:
    """Plays them, and prints each that fails and the sums."""
    begun, sums, failed = time.monotonic(), Counter[str](), 0
    for seed in seeds:
        is_late = options.seconds is not None and time.monotonic() - begun > options.seconds
        if is_late or (options.until_broken and failed):
            break
        played = play(database, seed, options.years)
        failed += played.broken is not None
        if played.broken is not None:
            sys.stdout.write(f"seed {seed}: {played.broken[:1500]}\n")
            sys.stdout.flush()
        sums.update(_figures(played))
    took = time.monotonic() - begun
    processor = time.process_time()
    figures = ", ".join(f"{value:,} {name}" for name, value in sums.items())
    sys.stdout.write(f"{figures}; {failed} failed, {took:.0f} s, {processor:.0f} s of a processor\n")
    return int(failed > 0)


def _figures(played: Played) -> dict[str, int]:
    return {
        "seeds": 1, "webhooks": played.webhooks, "requests to Pulsora": played.requests,
        "statements": played.statements, "faults": played.faults, "simulated days": round(played.days),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
