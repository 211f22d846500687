"""The command line, `pulsora-bridge`: one file for each kind of wish.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration. An error is one clear line on stderr, never a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

import click

from bridge import __version__
from bridge.cli import check, demo, look, overview, repair, run, setup, simulate
from bridge.errors import BridgeError, SettingsError, WrongUsage

SECTIONS: Mapping[str, Sequence[click.Command]] = {
    "Try it": (demo.demo, simulate.simulate),
    "Set it up": (setup.setup_processor, check.check, setup.import_subscriptions),
    "Run it": (run.serve, run.worker, run.migrate),
    "Look at it": (overview.status, look.events, look.deliveries, look.explain),
    "Mend it": (repair.attribute, setup.reconcile, repair.purge),
}


class Sections(click.Group):
    """The commands under the wish that they fulfil, in the order in which one needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [str(command.name) for commands in SECTIONS.values() for command in commands]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.commands))
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(str(one.name).ljust(width), one.get_short_help_str(200)) for one in commands])


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pulsora-bridge")
def commands() -> None:
    """Payments and recurring revenue from Stripe and Paddle, told to Pulsora once, attributed to the visit."""


for section in SECTIONS.values():
    for command in section:
        commands.add_command(command)


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
