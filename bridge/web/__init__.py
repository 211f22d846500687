"""The web application: stores webhooks and attributions, and serves health, metrics and the admin pages.

Requests only verify and store. Translating, settling and sending are the worker's.
"""

from __future__ import annotations

import os
from pathlib import Path

import structlog
from flask import Blueprint, Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from bridge import log, telemetry
from bridge.settings import Settings, load
from bridge.store import Store, open_store
from bridge.web import admin, attribution_script, attributions, error_pages, errors, health, webhooks
from bridge.web.arrivals import ArrivalCounter
from bridge.web.context import KEY, Context
from bridge.web.refusals import RefusalCounter

__all__ = ["blueprint", "create_app"]

logger = structlog.get_logger()


def create_app(settings: Settings | None = None, store: Store | None = None) -> Flask:
    """The Flask application. By default the settings come from the environment, and the store from the settings."""
    if settings is None:
        settings = load(os.environ, dotenv=Path(".env"))
        log.configure(settings.log_format, settings.log_level)
    app = Flask("bridge.web", static_folder=None)
    app.register_blueprint(blueprint(settings, store))
    errors.install(app)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]  # Flask's documented way
    return app


def blueprint(settings: Settings | None = None, store: Store | None = None) -> Blueprint:
    """The routes, to be registered in another Flask application, with any `url_prefix`."""
    settings = settings or load(os.environ, dotenv=Path(".env"))
    for text in settings.warnings:
        logger.warning("setting_warning", reason=text)
    store = store or open_store(settings.database_url)
    telemetry.configure(settings.otlp_endpoint, settings.otlp_headers, "web")
    context = Context(settings=settings, store=store, refusals=RefusalCounter(store), arrivals=ArrivalCounter(store))
    bp = Blueprint(
        "pulsora_bridge", __name__, template_folder="templates", static_folder="static", static_url_path="/admin/static"
    )
    if settings.alert_urls:
        from bridge.web.worker_watch import WorkerWatch  # not above: a web process is ready earlier

        WorkerWatch(store, settings).start()
    bp.record_once(lambda setup: setup.app.extensions.__setitem__(KEY, context))
    errors.install(bp)
    for module in (webhooks, attributions, attribution_script, health, error_pages, admin):
        module.mount(bp)
    return bp
