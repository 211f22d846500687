"""The operator's pages, for holders of the admin token: one module per group of pages, `mount` adds them all.

A page is a function wrapped by `session.admin_only` that returns `page.render(template, …)`; an action is a POST that
begins with `session.require_form()`. A module listed in PAGES appears in the navigation when `page.NAVIGATION` has an
entry for its endpoint. Templates extend base.html and take chips, relative times and amounts from macros.html.
"""

from __future__ import annotations

from flask import Blueprint

from bridge.web.admin import (
    api,
    attribution,
    audit,
    customers,
    deliveries,
    mrr,
    overview,
    page,
    revenue,
    session,
    sources,
    webhooks,
)

PAGES = (overview, mrr, revenue, webhooks, deliveries, customers, attribution, audit, sources, api)


def mount(bp: Blueprint) -> None:
    """Adds the pages, the login, and the security headers."""
    for module in (session, *PAGES):
        module.mount(bp)
    bp.after_request(page.add_security_headers)
