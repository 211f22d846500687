"""The results of actions: logged with its result, and shown on the page that follows.

The sentence is chosen by a code in the address, so that an address cannot put any other text on the page.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from bridge.formatting import quantity

log = structlog.get_logger()

# By code: the noun that is counted, and the sentence.
SENTENCES: Mapping[str, tuple[str, str]] = {
    "replayed": ("webhook", "{n} will be processed again."),
    "not_replayed": ("webhook", "Not replayed: the body was purged after RETENTION_DAYS."),
    "sent_now": ("revenue event", "{n} will be sent now."),
    "not_sent": ("revenue event", "Nothing to send: it is on its way, delivered, or behind an earlier event."),
    "released": ("revenue event", "{n} will be sent without waiting for an attribution."),
    "forwarded": ("revenue event", "{n} that had not been forwarded will be sent."),
    "resumed": ("pause", "The pause has ended. Sending continues."),
    "attributed": ("attribution", "The attribution is registered. Held revenue events are sent within seconds."),
    "known": ("attribution", "This attribution was already registered."),
    "invalid": ("field", "Not registered: both the visitor fingerprint and the session id are needed."),
}
BAD = frozenset({"not_replayed", "not_sent", "invalid"})


def finished(action: str, code: str, back: str, *, count: int = 1, **fields: object) -> Response:
    """Logs an action with its result, and redirects to the page that it was started from."""
    log.info("admin_action", action=action, result=code, count=count, address=request.remote_addr, **fields)
    joint = "&" if "?" in back else "?"
    return redirect(f"{back}{joint}done={code}&n={count}", code=303)


def back(default: str) -> str:
    """The page of this service that the form names, else `default`."""
    wanted = request.form.get("back", "")
    home = url_for(".overview")
    is_own = wanted.startswith(home) and not {"\\", "\r", "\n"} & set(wanted)
    return wanted.split("done=")[0].rstrip("?&") if is_own else default


def notice() -> tuple[str, str] | None:
    """The sentence for this request's `done`, and its class; None without one."""
    noun, sentence = SENTENCES.get(request.args.get("done", ""), ("", ""))
    if not sentence:
        return None
    count = request.args.get("n", default=0, type=int)
    return sentence.format(n=quantity(count, noun)), "bad" if request.args["done"] in BAD else "good"
