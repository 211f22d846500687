"""Error responses: JSON, `{"error": code, "message": sentence}`; a page for a browser under /admin/."""

from __future__ import annotations

import traceback

import structlog
from flask import Blueprint, Flask, Response, jsonify
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import HTTPException

from bridge.errors import StoreUnavailable
from bridge.log import scrub
from bridge.web import error_pages
from processors.interface import SignatureError, SignatureProblem

log = structlog.get_logger()

CODES = {
    400: ("bad_request", "The request is malformed."),
    401: ("unauthorized", "The admin token is required: Authorization: Bearer …"),
    404: ("not_found", "No such resource."),
    405: ("method_not_allowed", "This method is not allowed here."),
    413: ("too_large", "The request body is too large."),
}
SIGNATURE_MESSAGES = {
    SignatureProblem.MISSING: "The signature header is missing.",
    SignatureProblem.MALFORMED: "The signature header is malformed.",
    SignatureProblem.MISMATCH: "The signature matches none of the configured secrets.",
    SignatureProblem.UNREADABLE: "The signature is valid, but the body is not a readable event.",
}


def install(target: Flask | Blueprint) -> None:
    """Registers the error handlers; on an application they also cover requests that match no route."""
    target.register_error_handler(SignatureError, signature_error)
    target.register_error_handler(StoreUnavailable, store_unavailable)
    target.register_error_handler(HTTPException, http_exception)
    target.register_error_handler(ParseException, broken_body)
    target.register_error_handler(NoMoreData, broken_body)
    target.register_error_handler(Exception, internal_error)


def error(status: int, code: str, message: str) -> Response:
    """An error response."""
    response = jsonify(error=code, message=message)
    response.status_code = status
    return response


def signature_error(problem: SignatureError) -> Response:
    """400. Says enough to correct a wrong setting and less than the log, so that nothing helps to forge a signature."""
    return error(400, error_code(problem), SIGNATURE_MESSAGES.get(problem.problem, problem.detail))


def error_code(problem: SignatureError) -> str:
    """The code of a webhook that was not verified, in the response and in the counters."""
    code = problem.problem.value
    return code if problem.problem is SignatureProblem.UNREADABLE else f"signature_{code}"


def store_unavailable(problem: StoreUnavailable) -> Response:
    """503 with Retry-After: nothing was stored."""
    log.error("store_unavailable", reason=str(problem))
    message = "The database is not available. Retry later."
    response = error_pages.page(503, "store_unavailable", message) or error(
        503, "store_unavailable", "The request could not be stored. Retry later."
    )
    response.headers["Retry-After"] = str(problem.retry_after_seconds)
    return response


def http_exception(problem: HTTPException) -> Response:
    """Flask's own HTTP errors, with the headers that HTTP requires: WWW-Authenticate for 401, Allow for 405."""
    status = problem.code or 500
    code, message = CODES.get(status, ("refused", problem.name))
    response = error_pages.page(status, code, message) or error(status, code, message)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    response.headers.extend([pair for pair in problem.get_headers() if pair[0] == "Allow"])
    return response


def broken_body(problem: Exception) -> Response:
    """400: gunicorn found a body that ends early or has malformed chunks, while the route was reading it."""
    return error(400, *CODES[400])


def internal_error(problem: Exception) -> Response:
    """500. Only the log has the details."""
    # As text: a host application's structlog may be configured to print the local variables of every frame.
    details = "".join(traceback.format_exception(problem))
    log.error("request_failed", exception=scrub(details))
    message = "Internal error. See the log of the bridge."
    return error_pages.page(500, "internal", message) or error(500, "internal", message)
