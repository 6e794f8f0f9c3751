"""/ok and /health, which ask for no key."""

from typing import Any

from api.opengpts.blueprint import Blueprint
from api.opengpts.errors import reply

blueprint = Blueprint("health", identified=False)


@blueprint.route("/ok", methods=["GET"])
def ok() -> Any:
    return reply({"ok": True})


@blueprint.route("/health", methods=["GET"])
def health() -> Any:
    return reply({"status": "ok"})
