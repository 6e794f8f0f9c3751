"""/assistants"""

from typing import Any

from flask import request

from api import auth
from api.opengpts import operations, shapes
from api.opengpts.blueprint import Blueprint
from api.opengpts.errors import reply
from api.opengpts.identity import owner
from api.opengpts.paths import require_id
from api.opengpts.schemas import GivenAssistant, PutAssistant
from api.runtime import single, transaction
from shared.store import opengpts

blueprint = Blueprint("assistants")


@blueprint.route("/assistants", methods=["POST", "PUT"])
@blueprint.arguments(PutAssistant())
def create_assistant(given: GivenAssistant) -> Any:
    """PUT as well: OpenGPTs' own documentation creates with it."""
    return _put(operations.new_id(), given)


@blueprint.route("/assistants/<assistant_id>", methods=["PUT"])
@blueprint.arguments(PutAssistant())
def put_assistant(given: GivenAssistant, assistant_id: str) -> Any:
    require_id("aid", assistant_id)
    return _put(assistant_id, given)


@blueprint.route("/assistants", methods=["GET"])
def list_assistants() -> Any:
    with single() as tx:
        return reply([shapes.assistant(one) for one in opengpts.list_assistants(tx, owner())])


@blueprint.route("/assistants/public", methods=["GET"])
def list_public_assistants() -> Any:
    """Everybody's in the project, or the one that was shared."""
    shared_id = request.args.get("shared_id")
    if shared_id is not None:
        require_id("shared_id", shared_id, place="query")
    with single() as tx:
        found = opengpts.list_public_assistants(tx, auth.project_id(), shared_id)
    return reply([shapes.assistant(one) for one in found])


@blueprint.route("/assistants/<assistant_id>", methods=["GET"])
def get_assistant(assistant_id: str) -> Any:
    require_id("aid", assistant_id)
    with single() as tx:
        return reply(shapes.assistant(opengpts.get_assistant(tx, owner(), assistant_id)))


def _put(assistant_id: str, given: GivenAssistant) -> Any:
    user = owner()
    with transaction() as tx:
        made = operations.put_assistant(tx, user, assistant_id, given)
    return reply(shapes.own_assistant(made))
