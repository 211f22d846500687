"""Answers: JSON always, and for an error `{"error": code, "message": sentence}`, whatever went wrong."""

from __future__ import annotations

import traceback

import structlog
from flask import Blueprint, Flask, Response, jsonify
from gunicorn.http.errors import NoMoreData, ParseException
from werkzeug.exceptions import HTTPException

from bridge.errors import StoreUnavailable
from bridge.log import hidden
from processors.interface import SignatureError, SignatureProblem

log = structlog.get_logger()

CODES = {
    400: ("bad_request", "The request cannot be read."),
    401: ("unauthorized", "An admin token is needed: Authorization: Bearer …"),
    404: ("not_found", "There is nothing here."),
    405: ("method_not_allowed", "This address does not take that method."),
    413: ("too_large", "The body is larger than this service reads."),
}
REFUSED = {
    SignatureProblem.MISSING: "The signature header is missing.",
    SignatureProblem.MALFORMED: "The signature header is malformed.",
    SignatureProblem.MISMATCH: "The signature matches none of the configured secrets.",
    SignatureProblem.UNREADABLE: "The signature is right, but the body is no event that can be read.",
}


def install(rooms: Flask | Blueprint) -> None:
    """Registers the error handlers; on an application they also cover what no route takes."""
    rooms.register_error_handler(SignatureError, refused)
    rooms.register_error_handler(StoreUnavailable, unavailable)
    rooms.register_error_handler(HTTPException, plain)
    rooms.register_error_handler(ParseException, broken_off)
    rooms.register_error_handler(NoMoreData, broken_off)
    rooms.register_error_handler(Exception, unexpected)


def error(status: int, code: str, message: str) -> Response:
    """An error's answer."""
    answer = jsonify(error=code, message=message)
    answer.status_code = status
    return answer


def refused(problem: SignatureError) -> Response:
    """400: the sender is not proven. It is told less than the log, but enough to mend a wrong setting."""
    code = problem.problem.value
    code = code if problem.problem is SignatureProblem.UNREADABLE else f"signature_{code}"
    return error(400, code, REFUSED.get(problem.problem, problem.detail))


def unavailable(problem: StoreUnavailable) -> Response:
    """503: nothing was stored, come back later."""
    log.error("store_unavailable", reason=str(problem))
    answer = error(503, "store_unavailable", "The event could not be stored just now. Send it again.")
    answer.headers["Retry-After"] = str(problem.retry_after_seconds)
    return answer


def plain(problem: HTTPException) -> Response:
    """What Flask itself refuses, in this service's words, with the headers that HTTP asks for."""
    status = problem.code or 500
    code, message = CODES.get(status, ("refused", problem.name))
    answer = error(status, code, message)
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    answer.headers.extend([pair for pair in problem.get_headers() if pair[0] == "Allow"])
    return answer


def broken_off(problem: Exception) -> Response:
    """400: gunicorn found, while the body was read, that it is none: chunks without a size, or too few bytes."""
    return error(400, *CODES[400])


def unexpected(problem: Exception) -> Response:
    """500: an error of this service's own; the log has it, the sender does not."""
    # As text: in an application of somebody else's, structlog might print every local variable beside the traceback.
    told = "".join(traceback.format_exception(problem))
    log.error("request_failed", exception=hidden(told))
    return error(500, "internal", "The service failed. Its log says why.")
