"""Stops a process at every write, fsync, truncation and unlink of a cycle, and checks what the next start makes of it.

LD_PRELOAD=unsynced_disk.so python tests/faults/crash_points.py [--cycle copy] [--every 20 [--start 7]] [--seed 4]

At each point the files are kept (the process was killed), or set back to what was synced (power cut), or have some of
the unsynced sectors and not others (power cut while the disk was writing).
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from sqlalchemy import Engine
from sqlalchemy.util import LRUCache

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
# A dependency of the tests installs a package of this name, which would be found instead of this folder.
sys.modules["tests"] = ModuleType("tests")
sys.modules["tests"].__path__ = [str(ROOT / "tests")]

if os.environ.get("DISABLED_GUARDS"):
    import tests.faults.disabled_guards  # noqa: F401

from bridge import log  # noqa: E402
from bridge.store import sqlite  # noqa: E402
from tests.faults.crash_cycles import CYCLES, Cycle, Journal, Outcome  # noqa: E402

STOPPED, WRONG = 77, 1  # exit statuses
SECTOR = 512
MEMORY = Path("/dev/shm")
DISK = ctypes.CDLL(None)  # with the preloaded library


def main() -> int:
    """Prints each point at which something went wrong, and the counts; the exit status is 1 if there is any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycle", choices=[cycle.name for cycle in CYCLES], help="only this one")
    parser.add_argument("--every", type=int, default=1, help="only every n-th point")
    parser.add_argument("--start", type=int, help="the first of them; default: a random one of the first 150")
    parser.add_argument("--seed", type=int, default=0, help="of the sectors that reach the disk, and the first point")
    options = parser.parse_args()
    log.configure("json", "critical")
    sqlite.CHANGES_PER_CHECKPOINT = 25  # so that checkpoints happen in between
    _share_compiled_statements()
    chance, failed = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        for cycle in CYCLES:
            if options.cycle in (None, cycle.name):
                campaign = Campaign(cycle, Path(folder) / cycle.name, chance)
                failed += campaign.play(options.start or chance.randint(1, min(options.every, 150)), options.every)
    return int(failed > 0)


def _share_compiled_statements() -> None:
    """Compiling the statements anew in each process would take most of the time."""
    make_engine, first = sqlite._engine, sqlite._engine(Path("unused"))
    first._compiled_cache = LRUCache(2000)  # type: ignore[assignment]

    def engine(path: Path) -> Engine:
        made = make_engine(path)
        made.dialect, made._compiled_cache = first.dialect, first._compiled_cache
        return made

    sqlite._engine = engine


def keep(path: Path, chance: random.Random) -> None:
    """The process is killed: what it wrote is there."""


def lose_unsynced(path: Path, chance: random.Random) -> None:
    """Power cut: nothing that was not synced is there."""
    synced = path.with_name(f"{path.name}.synced")
    if synced.exists():
        shutil.copyfile(synced, path)
    else:
        path.unlink(missing_ok=True)


def lose_sectors(path: Path, chance: random.Random) -> None:
    """Power cut: of the sectors that were written and not synced, some are there."""
    synced = path.with_name(f"{path.name}.synced")
    old = synced.read_bytes() if synced.exists() else b""
    new = path.read_bytes() if path.exists() else old
    length = chance.choice((len(old), len(new)))
    sectors = (chance.choice((old, new))[at : at + SECTOR].ljust(SECTOR, b"\0") for at in range(0, length, SECTOR))
    path.write_bytes(b"".join(sectors)[:length])


LOSSES: tuple[Callable[[Path, random.Random], None], ...] = (keep, lose_unsynced, lose_sectors)


class Campaign:
    """All points of one cycle."""

    def __init__(self, cycle: Cycle, folder: Path, chance: random.Random) -> None:
        self._cycle, self._chance = cycle, chance
        self._template, self._stopped, self._folder = folder / "template", folder / "stopped", folder / "run"
        self._result = folder / "result.json"
        self._template.mkdir(parents=True)
        cycle_prepared = in_child(lambda: cycle.prepare(self._template))
        assert cycle_prepared == 0, "the files could not be made"
        for path in self._template.glob("*.synced"):
            path.unlink()
        for path in list(self._template.glob("*bridge.db*")):
            shutil.copyfile(path, path.with_name(f"{path.name}.synced"))

    def play(self, start: int, every: int) -> int:
        """Stops at each point, in each way; returns how many went wrong."""
        started, counts, failed = time.monotonic(), Counter[str](), 0
        self._warm_up()
        total = self._run(0)
        expected = self._resumed()
        points = range(start, total + 1, every)
        for point in points:
            self._run(point)
            _copy_folder(self._folder, self._stopped)
            for loss in LOSSES:
                _copy_folder(self._stopped, self._folder)
                if problem := self._problem(loss, expected):
                    failed += 1
                    sys.stdout.write(f"{self._cycle.name}, point {point}, {loss.__name__}: {problem}\n")
                    sys.stdout.flush()
                counts[loss.__name__] += 1
        took = time.monotonic() - started
        figures = f"{total} points, {len(points)} of them stopped at, in {sum(counts.values())} ways"
        sys.stdout.write(f"{self._cycle.name}: {figures}, {failed} wrong, {took:.0f} s\n")
        return failed

    def _warm_up(self) -> None:
        """Once in this process, which then has imported and compiled everything for its children."""
        _copy_folder(self._template, self._folder)
        self._cycle.run(self._folder, self._journal(lambda: None))
        self._cycle.resume(self._folder, self._journal(lambda: None))

    def _problem(self, loss: Callable[[Path, random.Random], None], expected: Outcome) -> str | None:
        for name in {path.name.removesuffix(".synced") for path in self._database_files()}:
            loss(self._folder / name, self._chance)
        if loss is not keep:
            for path in self._folder.glob("*-shm"):
                path.unlink()
        try:
            found = self._resumed()
        except AssertionError as error:
            return str(error)
        return None if found == expected else f"the result differs: {_difference(found, expected)}"

    def _database_files(self) -> Iterator[Path]:
        return (
            path
            for path in self._folder.iterdir()
            if "bridge.db" in path.name and not path.name.endswith((".lock", ".fresh", "-shm", "-shm.synced"))
        )

    def _run(self, point: int) -> int:
        """The cycle, stopped at this point (0: never); the number of operations."""
        _copy_folder(self._template, self._folder)
        self._result.unlink(missing_ok=True)

        def run() -> None:
            DISK.stop_at(ctypes.c_long(point))
            self._cycle.run(self._folder, self._journal(DISK.before_operation))
            self._result.write_text(str(DISK.operations()))

        status = in_child(run)
        assert status == (0 if point == 0 else STOPPED) or (point and status == 0), f"the cycle ended with {status}"
        return int(self._result.read_text()) if status == 0 else 0

    def _resumed(self) -> Outcome:
        """What the next start makes of the files."""
        self._result.unlink(missing_ok=True)

        def resume() -> None:
            DISK.stop_at(ctypes.c_long(0))
            self._result.write_text(json.dumps(self._cycle.resume(self._folder, self._journal(lambda: None))))

        status = in_child(resume, self._result)
        assert status == 0, self._result.read_text()
        found: Outcome = json.loads(self._result.read_text())
        return found

    def _journal(self, before: Callable[[], None]) -> Journal:
        return Journal(self._folder / "journal", before)


def _copy_folder(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def in_child(action: Callable[[], None], error_file: Path | None = None) -> int:
    """The exit status of a forked process that does this. Its error goes into the file, else to the terminal."""
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        except BaseException:
            text = traceback.format_exc()
            if error_file is None:
                sys.stderr.write(text)
                sys.stderr.flush()
            else:
                error_file.write_text(text[-1500:])
            os._exit(WRONG)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _difference(found: Outcome, expected: Outcome) -> str:
    for key, values in expected.items():
        if found.get(key) != values:
            missing, more = set(values) - set(found[key]), set(found[key]) - set(values)
            return f"{key}: missing {sorted(missing)[:2]}, unexpected {sorted(more)[:2]}"[:1500]
    return ""


if __name__ == "__main__":
    sys.exit(main())
