"""The service file that `init` writes: a systemd unit, a compose file, or none."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from shutil import which
from urllib.parse import urlsplit

KINDS = ["systemd", "compose", "none"]
NEXT_STEP = {
    "systemd": "Install it: sudo cp pulsora-bridge.service /etc/systemd/system/ && "
    "sudo systemctl enable --now pulsora-bridge",
    "compose": "Start it: docker compose up -d",
    "none": "",
}

UNIT = """\
[Unit]
Description=Pulsora bridge
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={command} --env-file {env_file} serve
User={user}
WorkingDirectory={folder}
UMask=0077
Restart=always
RestartSec=2
# SIGTERM to the supervisor alone, which passes it on.
KillMode=mixed
TimeoutStopSec=40
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full

[Install]
WantedBy=multi-user.target
"""

COMPOSE = """\
name: pulsora-bridge

services:
  bridge:
    # Built from the repository: docker build -t pulsora-bridge .
    image: pulsora-bridge
    restart: unless-stopped
    stop_grace_period: 40s
    env_file: {env_file}
    environment:
      BIND: 0.0.0.0:8000
      DATABASE_URL: sqlite:////data/bridge.db
      TRUSTED_PROXIES: "1"
    volumes:
      - data:/data

  caddy:
    image: caddy:2.10.2-alpine
    restart: unless-stopped
    depends_on: [bridge]
    command: caddy reverse-proxy --from {domain} --to bridge:8000
    ports: ["80:80", "443:443"]
    volumes:
      - caddy_data:/data

volumes:
  data:
  caddy_data:
"""


def write(kind: str, env_file: Path, public_url: str) -> list[Path]:
    """Writes the file into the current directory, or next to one with other contents as `.new`."""
    if kind == "none":
        return []
    name, template = {"systemd": ("pulsora-bridge.service", UNIT), "compose": ("compose.yaml", COMPOSE)}[kind]
    text = template.format(
        command=which("pulsora-bridge") or f"{sys.executable} -m bridge.cli",
        env_file=env_file.absolute(),
        user=os.environ.get("SUDO_USER") or os.environ.get("USER") or "root",
        folder=Path.cwd(),
        domain=urlsplit(public_url).hostname or "localhost",
    )
    path = Path(name)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        path = Path(f"{name}.new")
    path.write_text(text, encoding="utf-8")
    return [path]
