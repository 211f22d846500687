"""Plays the lifecycle tables through real processes under load.

python tests/load/run.py --customers 2000 --database sqlite
python tests/load/run.py --customers 2000 --database postgresql     two web processes, two workers
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
# A dependency of the tests installs a package of this name, which would be found instead of this folder.
sys.modules["tests"] = ModuleType("tests")
sys.modules["tests"].__path__ = [str(ROOT / "tests")]

from tests.end_to_end.service import GUNICORN, SERVE, WORKER, Command  # noqa: E402
from tests.load.campaign import play, shuffled  # noqa: E402
from tests.load.customers import copies, lifecycles  # noqa: E402
from tests.postgres import postgres_server  # noqa: E402

COMMANDS: dict[str, Sequence[Command]] = {"sqlite": [SERVE], "postgresql": [GUNICORN, WORKER, WORKER]}
SHOWN = 40


def main() -> int:
    """Plays once, prints the figures, and returns the exit status: 1 when a customer's revenue events differ."""
    options = _options()
    customers = copies(options.customers, options.seed, lifecycles())
    posts = shuffled(customers, random.Random(options.seed), options.at_once or options.customers)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(_database(options.database, folder))
        result = play(posts, COMMANDS[options.database], folder, url, options.window)
    for one in [*result.differences, *result.waiting][:SHOWN]:
        sys.stdout.write(f"{one}\n")
    sys.stdout.write(f"{options.database}, seed {options.seed}: {result.figures()}\n")
    return int(bool(result.differences or result.refused or result.waiting))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=2000, help="each plays one lifecycle")
    parser.add_argument("--at-once", type=int, help="how many customers' webhooks are mixed; default: all")
    parser.add_argument("--database", choices=sorted(COMMANDS), default="sqlite")
    parser.add_argument("--window", type=float, default=90.0, help="SETTLE_SECONDS and SETTLE_QUIET_SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


@contextmanager
def _database(name: str, folder: Path) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:///{folder}/bridge.db"
        return
    with postgres_server() as server:
        yield server.get_uri()


if __name__ == "__main__":
    sys.exit(main())
