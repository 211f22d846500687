"""The samples for operators: they agree with each other, with the settings and with the metrics, and their tools accept
them where these are installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.cli import service_files
from bridge.monitoring import metrics
from bridge.server.supervisor import STOP_SECONDS
from processors import processors

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "config"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SYSTEMD = (CONFIG / "systemd" / "pulsora-bridge.service").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((CONFIG / "compose.yaml").read_text(encoding="utf-8"))
FLY = tomllib.loads((CONFIG / "platforms" / "fly.toml").read_text(encoding="utf-8"))
RENDER = yaml.safe_load((CONFIG / "platforms" / "render.yaml").read_text(encoding="utf-8"))["services"][0]
RAILWAY = json.loads((CONFIG / "platforms" / "railway.json").read_text(encoding="utf-8"))["deploy"]
KUBERNETES = list(yaml.safe_load_all((CONFIG / "platforms" / "kubernetes.yaml").read_text(encoding="utf-8")))
PODS = [one["spec"]["template"]["spec"] for one in KUBERNETES if one["kind"] == "Deployment"]
USER = "10001"
METRIC = re.compile(r"pulsora_bridge_\w+")


def installed(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"needs {tool}")


def run(*command: str, **more: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- They agree -----------------------------------------------------------------------------------------------------


def test_every_sample_waits_until_serve_has_stopped() -> None:
    waits = {
        "systemd": int(re.findall(r"^TimeoutStopSec=(\d+)$", SYSTEMD, re.MULTILINE)[0]),
        "compose": int(COMPOSE["services"]["bridge"]["stop_grace_period"].removesuffix("s")),
        "Fly": int(FLY["kill_timeout"].removesuffix("s")),
        "Render": RENDER["maxShutdownDelaySeconds"],
        "Railway": RAILWAY["drainingSeconds"],
        "Kubernetes": min(pod["terminationGracePeriodSeconds"] for pod in PODS),
    }

    assert {name: seconds for name, seconds in waits.items() if seconds <= STOP_SECONDS} == {}


def test_only_the_supervisor_gets_systemds_signal() -> None:
    assert "\nKillMode=mixed\n" in SYSTEMD


def test_the_database_is_on_a_volume() -> None:
    assert "DATABASE_URL=sqlite:////data/bridge.db" in DOCKERFILE
    assert COMPOSE["services"]["bridge"]["volumes"] == ["data:/data"]
    assert (FLY["mounts"]["destination"], RENDER["disk"]["mountPath"], RAILWAY["requiredMountPath"]) == ("/data",) * 3


def test_the_container_runs_as_one_fixed_user() -> None:
    entrypoint = (CONFIG / "container-entrypoint.sh").read_text(encoding="utf-8")

    assert f"useradd --uid {USER} --gid {USER}" in DOCKERFILE
    assert f"setpriv --reuid={USER} --regid={USER} --clear-groups --no-new-privs" in entrypoint
    assert [str(pod["securityContext"]["runAsUser"]) for pod in PODS] == [USER, USER]
    assert "VOLUME" not in DOCKERFILE  # Railway refuses images that have one


def test_readiness_is_asked_everywhere() -> None:
    checks = [FLY["http_service"]["checks"][0]["path"], RENDER["healthCheckPath"], RAILWAY["healthcheckPath"]]
    probes = [box["readinessProbe"]["httpGet"]["path"] for pod in PODS for box in pod["containers"] if "ports" in box]

    assert [*checks, *probes] == ["/readyz"] * 4
    assert "http://127.0.0.1:8000/readyz" in DOCKERFILE


def names_in_samples() -> set[str]:
    boxes = [dict(COMPOSE["services"]["bridge"]["environment"]), FLY["env"]]
    boxes += [one["data"] for one in KUBERNETES if one["kind"] == "ConfigMap"]
    return {name for box in boxes for name in box} | {one["key"] for one in RENDER["envVars"]} - {"PORT"}


def test_every_setting_in_a_sample_exists() -> None:
    settings = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    settings += " ".join(f"`{one.secret.name}`" for one in processors().values())

    # PUBLIC_URL names the links in alerts and the address that check asks for.
    assert {name for name in names_in_samples() if f"`{name}`" not in settings} <= {"PUBLIC_URL"}


def test_metrics_and_pages_are_not_public() -> None:
    nginx, caddy = ((CONFIG / name).read_text(encoding="utf-8") for name in ("nginx.conf", "Caddyfile"))
    ingress = next(one for one in KUBERNETES if one["kind"] == "Ingress")
    paths = [one["path"] for one in ingress["spec"]["rules"][0]["http"]["paths"]]

    assert "respond /metrics 404" in caddy
    assert re.search(r"location = /metrics \{\s+allow 127.0.0.1;\s+deny all;", nginx)
    assert re.search(r"location = /admin/login \{\s+limit_req ", nginx)
    assert not [path for path in paths if path.startswith(("/metrics", "/admin"))]


def test_the_images_dependencies_are_those_of_the_package() -> None:
    (command,) = re.findall(r'^RUN python -c "(.+)" > requirements.txt', DOCKERFILE, re.MULTILINE)
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")

    printed = run(sys.executable, "-c", command, cwd=ROOT).split()

    extras = config["options.extras_require"]
    names = ("postgres", "classic", "alerts", "otel")
    expected = [config["options"]["install_requires"], *(extras[name] for name in names)]
    assert printed == "\n".join(expected).split()


# ---- What `init` writes agrees with them ----------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The service files that `init` writes for a database outside the current directory."""
    monkeypatch.chdir(tmp_path)
    more = (tmp_path / ".env", "https://hooks.example.com", "sqlite:////srv/data/bridge.db")
    return {kind: service_files.write(kind, *more)[0].read_text(encoding="utf-8") for kind in ("systemd", "compose")}


def test_the_written_compose_services_have_the_properties_of_the_sample(written: dict[str, str]) -> None:
    services = yaml.safe_load(written["compose"])["services"]
    sample = {name: dict(COMPOSE["services"][name]) for name in ("bridge", "caddy")}
    # Its image is built already, and it has no PostgreSQL to wait for.
    del sample["bridge"]["build"], sample["bridge"]["depends_on"]
    # The Caddyfile is inside, with the values in their places.
    del sample["caddy"]["environment"], services["caddy"]["configs"]
    sample["caddy"]["volumes"].remove("./Caddyfile:/etc/caddy/Caddyfile:ro")

    addresses = {"PUBLIC_URL": "https://hooks.example.com"}
    sample["bridge"]["env_file"] = str(Path(".env").absolute())
    sample["bridge"]["environment"] = sample["bridge"]["environment"] | addresses

    assert services == sample


def test_the_written_compose_file_defines_the_volumes_and_configs_it_uses(written: dict[str, str]) -> None:
    whole = yaml.safe_load(written["compose"])
    bridge, caddy = whole["services"]["bridge"], whole["services"]["caddy"]

    assert [one.partition(":")[0] for one in bridge["volumes"] + caddy["volumes"]] == list(whole["volumes"])
    assert caddy["configs"] == [{"source": "caddyfile", "target": "/etc/caddy/Caddyfile"}]
    assert list(whole["configs"]) == ["caddyfile"]


def test_the_written_caddyfile_has_the_rules_of_the_sample(written: dict[str, str]) -> None:
    sample = (CONFIG / "Caddyfile").read_text(encoding="utf-8")
    sample = sample.replace("{$DOMAIN:hooks.example.com}", "hooks.example.com")
    sample = sample.replace("{$UPSTREAM:127.0.0.1:8000}", COMPOSE["services"]["caddy"]["environment"]["UPSTREAM"])
    # Compose puts this setting in its place, or what follows ":-".
    sample = sample.replace("{$ADMIN_NETWORKS:", "${ADMIN_NETWORKS:-")
    rules = re.sub(r"^#.*\n", "", sample, flags=re.MULTILINE).replace("\t", "    ")

    assert yaml.safe_load(written["compose"])["configs"]["caddyfile"]["content"] == rules


def options(unit: str) -> set[str]:
    return {line for line in unit.splitlines() if line and not line.startswith("#")}


def test_the_written_unit_is_confined_as_the_sample_is(written: dict[str, str]) -> None:
    folder = Path.cwd()
    ours, sample = options(written["systemd"]), options(SYSTEMD)
    places = ("ExecStart=", "User=", "WorkingDirectory=", "Documentation=")

    assert {one for one in sample - ours if not one.startswith(places)} == {
        "StateDirectory=pulsora-bridge",
        "StateDirectoryMode=0700",
        "ProtectHome=yes",
    }
    assert {one for one in ours - sample if not one.startswith(places)} == {
        "ProtectHome=read-only",  # the folder may be in a home directory
        f'ReadWritePaths="{folder}" "/srv/data"',
    }


@installed("systemd-analyze")
def test_systemd_accepts_the_written_unit(written: dict[str, str], tmp_path: Path) -> None:
    unit = tmp_path / "pulsora-bridge.service"
    unit.write_text(re.sub(r"^ExecStart=.* --env-file", "ExecStart=/bin/true", written["systemd"], flags=re.MULTILINE))

    run("systemd-analyze", "verify", str(unit))


@pytest.mark.parametrize(("name", "least"), [("grafana-dashboard.json", 6), ("prometheus-alerts.yaml", 1)])
def test_every_metric_in_a_sample_exists(name: str, least: int) -> None:
    found = {one.removesuffix("_bucket") for one in METRIC.findall((CONFIG / name).read_text(encoding="utf-8"))}

    assert found - {metric for metric, _ in metrics.ALL} - {f"{metrics.REFUSED[0]}_total"} == set()
    assert len(found) >= least


# ---- Their tools accept them ----------------------------------------------------------------------------------------


@installed("nginx")
def test_nginx_accepts_its_sample(tmp_path: Path) -> None:
    certificate = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=hooks.example.com", "-days", "2")
    run("openssl", *certificate, "-keyout", "privkey.pem", "-out", "fullchain.pem", cwd=tmp_path)
    sample = (CONFIG / "nginx.conf").read_text(encoding="utf-8")
    (tmp_path / "site.conf").write_text(sample.replace("/etc/letsencrypt/live/hooks.example.com", str(tmp_path)))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    main = f"pid {tmp_path}/pid; events {{}} http {{ {folders} access_log off; include {tmp_path}/site.conf; }}"
    (tmp_path / "nginx.conf").write_text(main)

    run("nginx", "-t", "-q", "-c", str(tmp_path / "nginx.conf"))


@installed("caddy")
def test_caddy_accepts_its_sample() -> None:
    run("caddy", "validate", "--adapter", "caddyfile", "--config", str(CONFIG / "Caddyfile"))


@installed("caddy")
def test_caddy_accepts_the_written_rules(written: dict[str, str], tmp_path: Path) -> None:
    rules = yaml.safe_load(written["compose"])["configs"]["caddyfile"]["content"]
    filled = re.sub(r"\$\{ADMIN_NETWORKS:-(.+?)\}", r"\1", rules)
    (tmp_path / "Caddyfile").write_text(filled, encoding="utf-8")

    run("caddy", "validate", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile"))


@installed("check-jsonschema")
def test_the_compose_files_match_the_specification(written: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(written["compose"], encoding="utf-8")
    files = (str(CONFIG / "compose.yaml"), str(tmp_path / "compose.yaml"))

    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", *files)


@installed("promtool")
def test_prometheus_accepts_its_rules() -> None:
    run("promtool", "check", "rules", str(CONFIG / "prometheus-alerts.yaml"))


@installed("hadolint")
def test_hadolint_accepts_the_dockerfile() -> None:
    run("hadolint", str(ROOT / "Dockerfile"))


@installed("systemd-analyze")
def test_systemd_accepts_its_unit(tmp_path: Path) -> None:
    unit = tmp_path / "pulsora-bridge.service"
    unit.write_text(SYSTEMD.replace("/opt/pulsora-bridge/.venv/bin/pulsora-bridge", "/bin/true"))

    run("systemd-analyze", "verify", str(unit))


@installed("kubernetes-validate")
def test_kubernetes_accepts_its_manifest() -> None:
    run("kubernetes-validate", "--strict", str(CONFIG / "platforms" / "kubernetes.yaml"))
