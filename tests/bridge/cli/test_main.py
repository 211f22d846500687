"""The command line as a whole: its commands and its errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from bridge.cli import COMMANDS, SHORT_HELP, commands
from bridge.store import open_store
from tests.bridge.cli.conftest import Command
from tests.settings import STRIPE_SECRET, TOKEN

ROOT = Path(__file__).parents[3]


def test_help_shows_every_command_in_its_section(bare: Command) -> None:
    ended = bare("--help")

    assert ended.status == 0
    sections = [line for line in ended.out.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert sections == ["Options:", "Try:", "Set up:", "Run:", "Inspect:", "Maintain:"]
    listed = ended.out.partition("Try:")[2].splitlines()
    shown = [line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "]
    assert shown == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_has_the_first_line_of_each_help(name: str) -> None:
    command = commands.get_command(click.Context(commands), name)

    assert command is not None
    assert SHORT_HELP[name] == command.get_short_help_str(200)


@pytest.mark.parametrize(
    ("group", "known"),
    [("webhooks", "list show replay"), ("events", "list show replay"), ("deliveries", "list retry send")],
    ids=["webhooks", "events", "deliveries"],
)
def test_a_group_is_whole_when_it_is_the_first_thing_asked_for(group: str, known: str) -> None:
    asked = [sys.executable, "-m", "bridge.cli", group, "--help"]

    output = subprocess.run(asked, check=True, capture_output=True, text=True).stdout

    shown = [line.split()[0] for line in output.partition("Commands:\n")[2].splitlines()]
    assert sorted(shown) == sorted(known.split())


def test_a_command_that_does_not_exist_is_wrong_usage(bare: Command) -> None:
    ended = bare("demoo")

    assert ended.status == 2
    assert "There is no command 'demoo'. Did you mean demo?" in ended.err


@pytest.mark.parametrize(("asked", "shown"), [(("help",), "Set up:"), (("help", "setup"), "--create")])
def test_help_is_a_command_too(bare: Command, asked: tuple[str, ...], shown: str) -> None:
    ended = bare(*asked)

    assert (ended.status, ended.err) == (0, "")
    assert shown in ended.out


def test_another_file_of_settings_is_read(bare: Command, tmp_path: Path) -> None:
    (tmp_path / "live.env").write_text("STRIPE_WEBHOOK_SECRET=sk_live_wrong\n", encoding="utf-8")

    absent = bare("--env-file", "nowhere.env", "status")
    read = bare("--env-file", str(tmp_path / "live.env"), "status")

    assert (absent.status, absent.err) == (2, "--env-file: there is no file nowhere.env\n")
    assert "STRIPE_WEBHOOK_SECRET: looks like an API key (sk_…)" in read.err


def test_every_wrong_setting_is_reported_at_once_and_the_status_is_2(bare: Command) -> None:
    ended = bare("status", STRIPE_WEBHOOK_SECRET="sk_live_wrong", PULSORA_SECRET_TOKEN="pub_x", SENDER_THREADS="many")

    assert ended.status == 2
    assert [line.partition(":")[0] for line in ended.err.splitlines()] == [
        "SENDER_THREADS",
        "PULSORA_SECRET_TOKEN",
        "STRIPE_WEBHOOK_SECRET",
    ]


@pytest.mark.parametrize("command", [("status",), ("webhooks", "list"), ("deliveries", "list"), ("explain", "evt_1")])
def test_an_absent_database_is_one_line_and_no_traceback(cli: Command, command: tuple[str, ...]) -> None:
    ended = cli(*command, DATABASE_URL="sqlite:////nowhere/bridge.db")

    assert ended.status == 1
    assert ended.err.startswith("/nowhere/bridge.db: No such file or directory")
    assert len(ended.err.splitlines()) == 1


def test_an_error_of_its_own_is_one_line_that_says_how_to_see_more(
    cli: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("bridge.cli.status.read_settings", broken)

    ended = cli("status")

    assert (ended.status, ended.err) == (1, "failed: RuntimeError: a fault. Set LOG_LEVEL=debug for a traceback\n")


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    command = f"{sys.executable} -m bridge.cli --help | head -n 1"

    ended = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)

    assert ended.stdout == "Usage: pulsora-bridge [OPTIONS] COMMAND [ARGS]...\n"
    assert ended.stderr == ""


# Costly to import, and needed by none of the commands below. Each of these lists also keeps its own dependencies out.
COSTLY = (
    "alembic",
    "flask",
    "marshmallow",
    "requests",
    "sqlalchemy.dialects.postgresql",
    "stripe",
    "structlog",
    "bridge.worker.loop",
)
DATABASE = ("sqlalchemy", "processors")
TABLES = ("rich",)
# A command that reads the settings with `read_settings` must not import structlog: its log would go to stdout.
SERVICE = ("alembic", "flask", "marshmallow", "requests", "stripe", "structlog", "bridge.worker.loop")
STATUS = {"stauts": "2", "explain": "1", "customers": "1"}  # of a name or an id that does not exist


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        (["--version"], [*COSTLY, *DATABASE, *TABLES]),
        (["help"], [*COSTLY, *DATABASE, *TABLES]),
        (["stauts"], [*COSTLY, *DATABASE, *TABLES]),
        (["simulate", "stripe", "--json"], [*COSTLY, "sqlalchemy", *TABLES]),
        (["setup", "stripe"], [*COSTLY, "sqlalchemy"]),
        (["status"], COSTLY),
        (["mrr"], COSTLY),
        (["webhooks", "list"], COSTLY),
        (["deliveries", "list"], COSTLY),
        (["webhooks", "list", "--json"], [*COSTLY, *TABLES]),
        (["customers", "show", "cus_1"], COSTLY),
        (["explain", "evt_1"], SERVICE),
    ],
    ids=" ".join,
)
def test_a_command_imports_only_what_it_needs(command: list[str], absent: Sequence[str], migrated: Path) -> None:
    script = f"""
import sys
from collections.abc import Sequence
from bridge.cli import main
try:
    main({command!r})
except SystemExit as ended:
    print(ended.code)
print(*(name for name in {list(absent)!r} if name in sys.modules), sep=",")
"""
    environment = {
        "DATABASE_URL": f"sqlite:///{migrated}",
        "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
        "PULSORA_SECRET_TOKEN": TOKEN,
        "PYTHONPATH": str(ROOT),
    }

    output = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, env=environment, cwd=migrated.parent
    ).stdout

    *_, status, imported = output.split("\n")[:-1]
    assert (status, imported) == (STATUS.get(command[0], "0"), "")


@pytest.fixture(scope="module", name="migrated")
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of this version."""
    path = tmp_path_factory.mktemp("imports") / "bridge.db"
    store = open_store(f"sqlite:///{path}")
    store.migrate()
    store.close()
    return path
