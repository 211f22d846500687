"""docs/explained.md shows the output of `explain` word for word, except for the times of arrival."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge.store import Store
from tests.bridge.cli.conftest import Command
from tests.bridge.cli.working import arrive, work
from tests.settings import some_settings

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "explained.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```\n\$ pulsora-bridge explain (.+?)\n(.*?)```", PAGE, re.DOTALL)
RECEIVED = re.compile(r"received [\d-]+ [\d:]+ UTC|waits for its attribution until [\d-]+ [\d:]+")

# By customer: the scenario of Stripe, the webhooks at which its windows end, and the metadata key of the visit.
CUSTOMERS = {
    "ada": ("lifecycle", (10, 18, 26, 27, 30, 33), "visitor_fingerprint"),
    "bert": ("signup", (), "nobody_sets_it"),
}


@pytest.fixture(name="lived")
def _lived(sqlite_store: Store, sqlite_url: str) -> Store:
    """Two customers of Stripe, one of them without attribution."""
    for tag, (scenario, ends, fingerprint_key) in CUSTOMERS.items():
        for start, end in zip((0, *ends), (*ends, None), strict=True):
            arrive(sqlite_store, "stripe", scenario, tag, slice(start, end))
            work(sqlite_store, some_settings(sqlite_url, FINGERPRINT_KEY=fingerprint_key))
    return sqlite_store


@pytest.mark.parametrize(("args", "printed"), EXAMPLES, ids=[args for args, _ in EXAMPLES])
def test_an_example_is_what_the_command_prints(cli: Command, lived: Store, args: str, printed: str) -> None:
    ended = cli("explain", *args.split())

    assert RECEIVED.sub("received", ended.out) == RECEIVED.sub("received", printed)


def test_there_are_three_examples() -> None:
    assert len(EXAMPLES) == 3
