"""The registry: a process that serves webhooks loads no simulation and no API client."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOADED = """
import sys
import bridge.web
from processors import processors
print(*(processor.name for processor in processors().values()))
print(*(name for name in sys.modules if name.startswith("processors.")))
"""


def test_a_web_process_loads_every_processor_but_no_simulation_and_no_api_client() -> None:
    ran = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert ran.returncode == 0, ran.stderr
    names, modules = (line.split() for line in ran.stdout.splitlines())
    assert {"stripe", "paddle", "paddle-classic"} <= set(names)
    assert "processors.stripe.translate" in modules
    assert [module for module in modules if "simulation" in module or module.endswith((".api", ".account"))] == []
