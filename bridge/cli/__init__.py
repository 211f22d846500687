"""The command line, `pulsora-bridge`: one file for each kind of wish.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration. Errors are one clear line, never a traceback.
"""

from __future__ import annotations

import sys

import click
import structlog

from bridge import __version__
from bridge.cli import demo, look, overview, repair, run, setup, simulate
from bridge.errors import BridgeError, SettingsError, WrongUsage

log = structlog.get_logger()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pulsora-bridge")
def commands() -> None:
    """Payments and recurring revenue from Stripe and Paddle, told to Pulsora once, attributed to the visit."""


for room in (demo, run, setup, overview, look, repair, simulate):
    for command in room.COMMANDS:
        commands.add_command(command)


def main() -> None:
    """The console script."""
    try:
        commands(standalone_mode=False)
    except click.exceptions.Exit as asked:
        sys.exit(asked.exit_code)
    except click.Abort:
        sys.exit(1)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(2)
    except SettingsError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(2)
    except WrongUsage as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except BridgeError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
