"""Errors on the wire: status, envelope, and what a repeat is worth."""

import logging
import math
from typing import Any

from flask import Flask, Response, g, jsonify, request
from marshmallow import Schema, fields, validate
from werkzeug.exceptions import HTTPException

from api import limits
from api.auth import UnauthenticatedError
from shared.errors import LimitReached, NotFound, Refused, Unavailable

log = logging.getLogger(__name__)

UNPARSABLE = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using"
    " your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not"
    " valid JSON. If you have trouble figuring out how to fix this, please contact us through our"
    " help center at help.openai.com.)"
)
_SERVER_ERROR = (
    "The server had an error processing your request. Sorry about that! You can retry your request,"
    " or contact us through our help center at help.openai.com if you keep seeing this error."
    " (Please include the request ID {request_id} in your email.)"
)
_KINDS = ("invalid_request_error", "server_error", "requests")
# The same request meets the same answer; clients would repeat a 500 by themselves.
_A_REPEAT_IS_VAIN = {400, 401, 403, 404, 405, 413, 500}


class Error(Schema):
    message = fields.String(required=True)
    type = fields.String(required=True, validate=validate.OneOf(_KINDS))
    param = fields.String(required=True, allow_none=True)
    code = fields.String(required=True, allow_none=True)


class ErrorEnvelope(Schema):
    """What `envelope` answers, for the documentation."""

    error = fields.Nested(Error, required=True)


def envelope(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
) -> Response:
    error: dict[str, Any] = {"message": message, "type": kind, "param": param, "code": code}
    response = jsonify({"error": error})
    response.status_code = status
    if status in _A_REPEAT_IS_VAIN:
        response.headers["x-should-retry"] = "false"
    return response


def register(app: Flask) -> None:
    app.register_error_handler(Refused, _refused)
    app.register_error_handler(UnauthenticatedError, _unauthenticated)
    app.register_error_handler(LimitReached, _limit_reached)
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, _unexpected)


def _refused(error: Refused) -> Response:
    status = 404 if isinstance(error, NotFound) else 400
    return envelope(status, error.message, param=error.param, code=error.code)


def _unauthenticated(error: UnauthenticatedError) -> Response:
    return envelope(401, error.message, code=error.code)


def _limit_reached(error: LimitReached) -> Response:
    message = limits.sentence(error)
    response = envelope(429, message, kind="requests", code="rate_limit_exceeded")
    return limits.ask_to_wait(response, error)


def _unavailable(error: Unavailable) -> Response:
    response = envelope(503, str(error), kind="server_error")
    response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return response


def http_error(error: HTTPException) -> Response:
    """What Flask refuses by itself: unknown paths, methods, bodies that are too large."""
    if error.code == 404:
        return envelope(404, f"Invalid URL ({request.method} {request.path})")
    if error.code == 405:
        response = envelope(
            405,
            f"Not allowed to {request.method} on {request.path}."
            " (HINT: Perhaps you meant to use a different HTTP method?)",
        )
        response.headers["Allow"] = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return response
    if error.code == 413:
        return envelope(413, "The request body is too large.", code="request_too_large")
    if error.code is None or error.code >= 500:
        return _unexpected(error)
    return envelope(error.code, error.description or error.name)


def _unexpected(error: Exception) -> Response:
    log.error("request failed", exc_info=error, extra={"request_id": g.get("request_id")})
    message = _SERVER_ERROR.format(request_id=g.get("request_id"))
    return envelope(500, message, kind="server_error")
