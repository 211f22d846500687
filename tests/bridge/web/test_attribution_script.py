"""`GET /pulsora-bridge.js`: small, cacheable, for pages on any origin, with the integrity hash of the documentation."""

from __future__ import annotations

import base64
import gzip
import hashlib
from pathlib import Path

from flask.testing import FlaskClient

from bridge.web.attribution_script import SCRIPT

DOCS = Path(__file__).resolve().parents[3] / "docs" / "attribution.md"
LARGEST = 2000  # bytes, compressed


def test_any_page_may_load_the_script(client: FlaskClient) -> None:
    response = client.get("/pulsora-bridge.js")

    assert response.status_code == 200
    assert response.mimetype == "text/javascript"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert b"pulsoraVisit" in response.data


def test_a_browser_keeps_the_script_and_asks_for_changes_only(client: FlaskClient) -> None:
    first = client.get("/pulsora-bridge.js")

    again = client.get("/pulsora-bridge.js", headers={"If-None-Match": first.headers["ETag"]})
    other = client.get("/pulsora-bridge.js", headers={"If-None-Match": '"another"'})

    assert "max-age=3600" in first.headers["Cache-Control"]
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Access-Control-Allow-Origin"] == "*"
    assert other.status_code == 200


def test_only_reading_is_allowed(client: FlaskClient) -> None:
    assert client.post("/pulsora-bridge.js").status_code == 405
    assert client.head("/pulsora-bridge.js").data == b""


def test_the_script_stays_small() -> None:
    assert len(gzip.compress(SCRIPT.read_bytes(), 6)) <= LARGEST


def test_the_documentation_has_its_integrity_hash() -> None:
    digest = base64.b64encode(hashlib.sha384(SCRIPT.read_bytes()).digest()).decode()

    assert f'integrity="sha384-{digest}"' in DOCS.read_text(encoding="utf-8")
