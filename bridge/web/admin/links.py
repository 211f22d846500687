"""Links between pages: the query parameters of the list of deliveries, as reports and the overview use them.

source, type, status, movement, currency, plan, customer     equal to the column; an empty plan: without one
mode                                                         live or test
from, to                                                     days in UTC on which the event occurred, both included
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from urllib.parse import urlencode

from flask import g, url_for

from bridge.store.series import Selection


def mode_of(livemode: bool) -> str:
    """The word for live or test money in addresses and on pages."""
    return "live" if livemode else "test"


def to_deliveries(selection: Selection, first: date | None = None, last: date | None = None, **more: str | None) -> str:
    """The deliveries of a selection, or of some of its days, narrowed by more parameters."""
    wanted: dict[str, str | None] = {
        "mode": mode_of(selection.livemode),
        "currency": selection.currency,
        "source": selection.source,
        "plan": selection.plan,
        "from": (first or selection.first).isoformat(),
        "to": (last or selection.last).isoformat(),
        **more,
    }
    # A page has hundreds of these links: url_for runs once, and without the parameters.
    if "deliveries_url" not in g:
        g.deliveries_url = url_for(".deliveries")
    parameters = "&".join(_parameter(name, one) for name, one in wanted.items() if one is not None)
    return f"{g.deliveries_url}?{parameters}"


@lru_cache(maxsize=2000)
def _parameter(name: str, value: str) -> str:
    """One parameter of an address. The links of a page share most of theirs."""
    return urlencode({name: value})
