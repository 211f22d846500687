"""An application over a real SQLite file."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from bridge.settings import Settings
from bridge.store import Store
from bridge.web import create_app
from tests.settings import some_settings


@pytest.fixture
def settings(sqlite_url: str) -> Settings:
    return some_settings(sqlite_url)


@pytest.fixture
def app(settings: Settings, sqlite_store: Store) -> Flask:
    return create_app(settings, sqlite_store)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
