"""The scan for secrets: it covers every output, names the test, and ignores other text."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.secrets_scan import leaks
from tests.settings import ADMIN_TOKEN, PADDLE_SECRET, STRIPE_SECRET, TOKEN

HERE = Path(__file__).parent
CONFTEST = "import sys; sys.path.insert(0, {here!r})\nimport secrets_scan\ndef pytest_configure(config):\n"
CONFTEST += "    config.pluginmanager.register(secrets_scan)\n"
PROGRAM = """
import logging, sys

SECRET = {secret!r}

def test_prints():
    print("leaked", SECRET)

def test_prints_an_error():
    print("leaked", SECRET, file=sys.stderr)

def test_logs():
    logging.getLogger().warning("leaked %s", SECRET)

def test_leaves_a_log_file(tmp_path):
    (tmp_path / "service.log").write_text(f"leaked {{SECRET}}")

def test_keeps_it():
    print("nothing")

def test_fails_and_shows_it():
    print(SECRET)
    assert not SECRET
"""


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_leaked_secret_fails_the_run_and_names_the_test(processes: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # outside pytest's own folder, which the scan covers
        Path(folder, "conftest.py").write_text(CONFTEST.format(here=str(HERE)))
        Path(folder, "test_program.py").write_text(PROGRAM.format(secret=STRIPE_SECRET))

        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:schemathesis",
            "-n",
            processes,
        ]
        ended = subprocess.run([*command, folder], cwd=folder, capture_output=True, text=True, check=False)

    errors = {line.split(" - ")[0] for line in ended.stdout.splitlines() if line.startswith("ERROR ")}
    assert ended.returncode == 1
    assert "5 passed" in ended.stdout
    assert f"test_leaves_a_log_file0/service.log: leaked {STRIPE_SECRET}" in ended.stdout
    assert errors >= {f"ERROR test_program.py::{name}" for name in ("test_prints", "test_prints_an_error", "test_logs")}
    assert len(errors) == 4  # the fourth is the last test's, for the log file


@pytest.mark.parametrize(
    "secret",
    [
        STRIPE_SECRET,
        PADDLE_SECRET,
        TOKEN,
        ADMIN_TOKEN,
        "rk_live_fake_key_of_the_tests",
        "pdl_live_apikey_fake",
        "postgresql://bridge:hunter2@db/bridge",
        "t=1767225600,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd",
    ],
)
def test_every_kind_of_secret_is_known(secret: str) -> None:
    assert leaks(f"first\nsecond {secret} third") == [f"second {secret} third"]


@pytest.mark.parametrize(
    "text", ["STRIPE_WEBHOOK_SECRET begins with whsec_…", "evt_1 sub_123456 in 3 sec_", "pdl_ntfset_"]
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert leaks(text) == []
