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
    "compose": "Start it: docker build -t pulsora-bridge . in a copy of the repository, then docker compose up -d here",
    "none": "",
}

# As config/systemd/pulsora-bridge.service, for a folder that may be in a home directory.
UNIT = """\
[Unit]
Description=Pulsora bridge
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={command} --env-file "{env_file}" serve
User={user}
WorkingDirectory={folder}
UMask=0077

Restart=always
RestartSec=2
# SIGTERM to the supervisor alone, which passes it on.
KillMode=mixed
TimeoutStopSec=40

NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
# The folder of the database.
ReadWritePaths={writable}
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
CapabilityBoundingSet=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX

[Install]
WantedBy=multi-user.target
"""

# As config/compose.yaml without PostgreSQL, with config/Caddyfile inside it.
COMPOSE = """\
# Needs Docker Compose 2.23.1. ADMIN_NETWORKS in .env limits who may open /admin: 203.0.113.7/32 10.0.0.0/8
name: pulsora-bridge

x-logging: &logging
  driver: json-file
  options: {{max-size: 10m, max-file: "5"}}

services:
  bridge:
    # Built from the repository: docker build -t pulsora-bridge .
    image: pulsora-bridge
    restart: unless-stopped
    stop_grace_period: 40s
    env_file: {env_file}
    environment:
      BIND: 0.0.0.0:8000
      DATABASE_URL: ${{DATABASE_URL:-sqlite:////data/bridge.db}}
      PUBLIC_URL: {public_url}
      TRUSTED_PROXIES: "1"
      LOG_FORMAT: json
    volumes:
      - data:/data
    read_only: true
    tmpfs:
      - /tmp
    cap_drop: [ALL]
    cap_add: [CHOWN, DAC_OVERRIDE, SETGID, SETUID] # for the entry point alone, which drops them
    security_opt: ["no-new-privileges:true"]
    logging: *logging

  caddy:
    image: caddy:2.10.2-alpine
    restart: unless-stopped
    depends_on: [bridge]
    ports: ["80:80", "443:443", "443:443/udp"]
    configs:
      - source: caddyfile
        target: /etc/caddy/Caddyfile
    volumes:
      - caddy_data:/data
      - caddy_config:/config
    logging: *logging

configs:
  caddyfile:
    content: |
      {domain} {{
          encode gzip
          request_body {{
              max_size 2MiB # at least MAX_BODY_BYTES
          }}

          # Metrics are internal: Prometheus reads them from the bridge directly.
          respond /metrics 404

          @foreign {{
              path /admin /admin/*
              not remote_ip ${{ADMIN_NETWORKS:-0.0.0.0/0 ::/0}}
          }}
          respond @foreign 404

          reverse_proxy bridge:8000
      }}

volumes:
  data:
  caddy_data:
  caddy_config:
"""


def write(kind: str, env_file: Path, public_url: str, database_url: str) -> list[Path]:
    """Writes the file into the current directory, or next to one with other contents as `.new`."""
    if kind == "none":
        return []
    name, template = {"systemd": ("pulsora-bridge.service", UNIT), "compose": ("compose.yaml", COMPOSE)}[kind]
    text = template.format(
        command=which("pulsora-bridge") or f"{sys.executable} -m bridge.cli",
        env_file=env_file.absolute(),
        user=_user(env_file),
        folder=Path.cwd(),
        writable=" ".join(f'"{one}"' for one in _writable(database_url)),
        public_url=public_url,
        domain=urlsplit(public_url).hostname or "localhost",
    )
    path = Path(name)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        path = Path(f"{name}.new")
    path.write_text(text, encoding="utf-8")
    return [path]


def _user(env_file: Path) -> str:
    """The user the service runs as: the owner of the secrets, who alone can read them; else the present one."""
    try:
        return env_file.owner()
    except (OSError, KeyError):
        return os.environ.get("SUDO_USER") or os.environ.get("USER") or "root"


def _writable(database_url: str) -> list[Path]:
    """The folders that the service writes to: the current one, and that of an SQLite file elsewhere."""
    folders = [Path.cwd()]
    if database_url.startswith("sqlite:///"):
        folder = Path(database_url.removeprefix("sqlite:///").partition("?")[0]).absolute().parent
        folders += [folder] if folder not in folders else []
    return folders
