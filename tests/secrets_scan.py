"""A pytest plugin: a test that prints or logs a secret fails, and so does a run that leaves one in a log file.

Secrets are recognised by their shape, so new tests are covered. Failed tests are ignored, because pytest shows their
values.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

import pytest

SECRETS = re.compile(
    r"\b(?:whsec|pdl_ntfset|pdl_ntf|pdl_(?:live|sdbx)_apikey|[srp]k_(?:live|test)|sec)_\w{4,}"  # keys and tokens
    r"|fake-admin[\w-]*"
    r"|hunter2"  # the database password of the tests
    r"|\b(?:v1|h1)=[0-9a-f]{32,}"  # signatures
    r"|MIIEv[A-Za-z0-9+/]{30,}"  # private keys
)
PASSED = pytest.StashKey[bool]()


def leaks(text: str) -> list[str]:
    """The lines that contain a secret."""
    return [line for line in text.splitlines() if SECRETS.search(line)] if SECRETS.search(text) else []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Checks the output and logs of a passed test after its teardown."""
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    if report.when == "teardown" and report.passed and item.stash.get(PASSED, False):
        found = [f"{title}: {line}" for title, text in report.sections for line in leaks(text)]
        if found:
            report.outcome = "failed"
            report.longrepr = "\n".join(["A secret was printed or logged:", *found[:10]])
    return report


@pytest.fixture(scope="session", autouse=True)
def _no_secret_in_log_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Checks every log file of the run; the folder is named after the test."""
    yield
    folder = tmp_path_factory.getbasetemp()
    logs = {path: path.read_text(errors="replace") for path in sorted(folder.rglob("*.log")) if path.is_file()}
    found = [f"{path.relative_to(folder)}: {line}" for path, text in logs.items() for line in leaks(text)]
    if found:
        pytest.fail("\n".join(["A log file contains a secret:", *found[:10]]), pytrace=False)
