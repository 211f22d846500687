"""The command line, `pulsora-bridge`: one module per group of commands.

Exit status: 0 done, 1 failed, 2 wrong usage or invalid settings. An error is one line on stderr, never a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import click

from bridge import __version__
from bridge.errors import BridgeError, SettingsError, UsageError
from bridge.importing import import_at_once

# Sections of the help, and the module and name of each command. A module is imported when its command is used, so that
# `serve` starts without the imports of all others.
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Try": {"demo": "demo.demo", "simulate": "simulate.simulate"},
    "Set up": {
        "init": "init.init",
        "setup": "endpoint.setup_processor",
        "check": "check.check",
        "import": "imports.import_subscriptions",
    },
    "Run": {"serve": "run.serve", "worker": "run.worker", "migrate": "run.migrate"},
    "Inspect": {
        "status": "status.status",
        "mrr": "reports.mrr",
        "audit": "audit.audit",
        "webhooks": "maintain.webhooks",
        "deliveries": "resend.deliveries",
        "alerts": "alerts.alerts",
        "explain": "inspect.explain",
        "customers": "customers.customers",
        "export": "export.export",
    },
    "Maintain": {
        "attribute": "maintain.attribute",
        "reconcile": "setup.reconcile",
        "purge": "purge.purge",
        "erase": "erase.erase_customer",
    },
}
COMMANDS = {name: place for commands in SECTIONS.values() for name, place in commands.items()}
# The first line of each command's help, so that the list of commands is shown without importing all of them.
SHORT_HELP: Mapping[str, str] = {
    "demo": "Watch signed webhooks become revenue events. Needs no account and no settings.",
    "simulate": "Send the signed webhooks of a customer lifecycle to a running bridge.",
    "init": "Connect a processor: endpoint, secrets, service file, first webhook.",
    "setup": "Create, update or check the webhook endpoint at a processor, or show the steps.",
    "check": "Check settings, database, worker, API keys, endpoints and clock, and say how to fix problems.",
    "import": "Import existing subscriptions as baselines.",
    "serve": "Run web and worker together, on one machine.",
    "worker": "Run a worker, for web processes that you run separately.",
    "migrate": "Migrate the database schema, or copy everything to another database.",
    "status": "Show webhooks and revenue events by status, backlog, totals and problems.",
    "mrr": "Show the present MRR and its movements.",
    "audit": "Compare totals with the processor's own, and name the cause of every difference.",
    "webhooks": "Stored webhooks: list, show, replay.",
    "deliveries": "Revenue events and their delivery to Pulsora: list, retry.",
    "alerts": "Alerts: list what needs attention, and send a test message.",
    "explain": "Explain which revenue events a webhook led to, and why.",
    "customers": "Customers: show one by any of its ids.",
    "export": "Export movements, revenue or customers as CSV or JSON.",
    "attribute": "Register an attribution; releases the revenue held for it.",
    "reconcile": "Fetch recent events from the processor and store those that never arrived.",
    "purge": "Delete the raw bodies of settled webhooks.",
    "erase": "Erase a customer: payloads, ids and visits. Sums stay.",
}
HIDDEN_ALIASES = {"events": "webhooks"}


class Sections(click.Group):
    """Shows the commands in sections, imports them on demand, and suggests the command that was probably meant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(HIDDEN_ALIASES.get(cmd_name, cmd_name))
        return None if place is None else _imported(place)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] == "help":
            return "help", _help, args[1:]
        if args == ["version"]:
            return "version", _version, []
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            close = get_close_matches(args[0], COMMANDS, 1)
            hint = f"Did you mean {close[0]}?" if close else "List them: pulsora-bridge help"
            ctx.fail(f"There is no command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for section, places in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), SHORT_HELP[name]) for name in places])


def _imported(place: str) -> click.Command:
    module, _, name = place.partition(".")
    command = getattr(import_at_once(f"bridge.cli.{module}"), name)
    assert isinstance(command, click.Command)
    return command


@click.command("help", add_help_option=False)
@click.argument("names", nargs=-1)
@click.pass_context
def _help(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Shows the help of all commands, or of one."""
    root = ctx.find_root()
    ctx.exit(commands.main([*names, "--help"], prog_name=root.info_name, standalone_mode=False))


@click.command("version", add_help_option=False)
def _version() -> None:
    """Shows the version, as --version does."""
    click.echo(f"pulsora-bridge, version {__version__}")


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="pulsora-bridge")
@click.option("--env-file", type=click.Path(dir_okay=False), help="The file of settings. [default: .env]")
def commands(env_file: str | None) -> None:
    """Send payments and recurring revenue from Stripe and Paddle to Pulsora, attributed to the visit."""


def main(args: Sequence[str] | None = None) -> None:
    """The console script."""
    try:
        status = commands.main(args, prog_name="pulsora-bridge", standalone_mode=False)
    except click.Abort:
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (SettingsError, UsageError) as error:
        _fail(error, 2)
    except BridgeError as error:
        _fail(error, 1)
    except Exception as error:
        if os.environ.get("LOG_LEVEL", "").lower() == "debug":
            raise
        _fail(f"failed: {type(error).__name__}: {error}. Set LOG_LEVEL=debug for a traceback", 1)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(error: object, status: int) -> None:
    click.echo(str(error), err=True)
    sys.exit(status)
