"""Refusals as FastAPI words them: `{"detail": …}`."""

import logging
from typing import Any

import orjson
from flask import Blueprint, Response, g
from werkzeug.exceptions import HTTPException

from api import limits
from api.auth import UnauthenticatedError
from api.opengpts.faults import UnprocessableError
from shared.errors import Conflict, LimitReached, NotFound, Refused, Unavailable

log = logging.getLogger(__name__)


def reply(body: Any, status: int = 200) -> Response:
    """Compact, as FastAPI's."""
    return Response(orjson.dumps(body), status, mimetype="application/json")


def register(blueprint: Blueprint) -> None:
    blueprint.register_error_handler(Refused, _refused)
    blueprint.register_error_handler(UnprocessableError, _unprocessable)
    blueprint.register_error_handler(UnauthenticatedError, _unauthenticated)
    blueprint.register_error_handler(LimitReached, _limit_reached)
    blueprint.register_error_handler(Unavailable, _unavailable)
    blueprint.register_error_handler(HTTPException, http_error)
    blueprint.register_error_handler(Exception, _unexpected)


def http_error(error: HTTPException) -> Response:
    """What Flask refuses by itself."""
    if error.code is None or error.code >= 500:
        return _unexpected(error)
    response = reply({"detail": error.name}, error.code)
    if error.code == 405:
        response.headers["Allow"] = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
    return response


def _refused(error: Refused) -> Response:
    status = 404 if isinstance(error, NotFound) else 409 if isinstance(error, Conflict) else 400
    return reply({"detail": error.message}, status)


def _unprocessable(error: UnprocessableError) -> Response:
    return reply({"detail": [vars(detail) for detail in error.details]}, 422)


def _unauthenticated(error: UnauthenticatedError) -> Response:
    detail = "Invalid API key" if error.code else "Not authenticated"
    response = reply({"detail": detail}, 401)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _limit_reached(error: LimitReached) -> Response:
    return limits.ask_to_wait(reply({"detail": limits.sentence(error)}, 429), error)


def _unavailable(error: Unavailable) -> Response:
    response = reply({"detail": str(error)}, 503)
    response.headers["Retry-After"] = "1"
    return response


def _unexpected(error: Exception) -> Response:
    log.error("request failed", exc_info=error, extra={"request_id": g.get("request_id")})
    return reply({"detail": "Internal Server Error"}, 500)
