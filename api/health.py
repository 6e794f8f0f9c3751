"""/healthz: the process answers. /readyz: PostgreSQL does; Redis is told beside it, for a run is
accepted without."""

from flask import Blueprint, Response, jsonify

from api.runtime import runtime, single
from shared.errors import Unavailable

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    return jsonify({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> Response:
    try:
        with single() as tx:
            postgresql = tx.value("SELECT true") is True
    except Unavailable:
        postgresql = False
    response = jsonify({"postgresql": postgresql, "redis": runtime().listener.connected})
    response.status_code = 200 if postgresql else 503
    return response
