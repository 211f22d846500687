"""The command line, `pulsora-bridge`: one file for each kind of wish.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration. An error is one clear line on stderr, never a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

import click

from bridge import __version__
from bridge.errors import BridgeError, SettingsError, WrongUsage

# By wish, in the order in which one needs them: each command and where it lives. A file is read when it is asked for,
# so that `serve` starts without what only the others need.
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Try it": {"demo": "demo.demo", "simulate": "simulate.simulate"},
    "Set it up": {"setup": "setup.setup_processor", "check": "check.check", "import": "setup.import_subscriptions"},
    "Run it": {"serve": "run.serve", "worker": "run.worker", "migrate": "run.migrate"},
    "Look at it": {
        "status": "overview.status",
        "events": "repair.events",
        "deliveries": "repair.deliveries",
        "explain": "look.explain",
    },
    "Mend it": {"attribute": "repair.attribute", "reconcile": "setup.reconcile", "purge": "repair.purge"},
}
PLACES = {name: place for commands in SECTIONS.values() for name, place in commands.items()}


class Sections(click.Group):
    """The commands under the wish that they fulfil."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = PLACES.get(cmd_name)
        return None if place is None else _found(place)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, PLACES))
        for section, places in SECTIONS.items():
            with formatter.section(section):
                told = [(name.ljust(width), _found(place).get_short_help_str(200)) for name, place in places.items()]
                formatter.write_dl(told)


def _found(place: str) -> click.Command:
    file, _, name = place.partition(".")
    command = getattr(import_module(f"bridge.cli.{file}"), name)
    assert isinstance(command, click.Command)
    return command


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pulsora-bridge")
def commands() -> None:
    """Payments and recurring revenue from Stripe and Paddle, told to Pulsora once, attributed to the visit."""


def main(args: Sequence[str] | None = None) -> None:
    """The console script."""
    try:
        status = commands.main(args, prog_name="pulsora-bridge", standalone_mode=False)
    except click.Abort:
        sys.exit(1)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(2)
    except (SettingsError, WrongUsage) as error:
        _fail(error, 2)
    except BridgeError as error:
        _fail(error, 1)
    except Exception as error:
        if os.environ.get("LOG_LEVEL", "").lower() == "debug":
            raise
        _fail(f"failed: {type(error).__name__}: {error}. LOG_LEVEL=debug shows where", 1)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(error: object, status: int) -> None:
    click.echo(str(error), err=True)
    sys.exit(status)
