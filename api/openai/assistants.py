"""/assistants"""

from typing import Any

from api import operations
from api.auth import project_id
from api.openai.blueprint import Blueprint
from api.openai.schemas.assistants import Assistant, CreateAssistant, ModifyAssistant
from api.openai.schemas.lists import PageQuery, deleted, list_of
from api.runtime import single, transaction
from shared.store import assistants
from shared.store.pages import PageRequest

blueprint = Blueprint("assistants", "A model with its instructions, tools and settings.")


@blueprint.route("/assistants", methods=["POST"])
@blueprint.arguments(CreateAssistant())
@blueprint.response(200, Assistant())
def create_assistant(body: dict[str, Any]) -> Any:
    """Create an assistant: a model with its instructions, tools and settings."""
    with single() as tx:
        return operations.create_assistant(tx, project_id(), body)


@blueprint.route("/assistants", methods=["GET"])
@blueprint.arguments(PageQuery(), location="query")
@blueprint.response(200, list_of(Assistant))
def list_assistants(page: PageRequest) -> Any:
    """List assistants, the newest first."""
    with single() as tx:
        return assistants.list_page(tx, project_id(), page)


@blueprint.route("/assistants/<assistant_id>", methods=["GET"])
@blueprint.response(200, Assistant())
def get_assistant(assistant_id: str) -> Any:
    """Retrieve an assistant."""
    with single() as tx:
        return assistants.get(tx, project_id(), assistant_id)


@blueprint.route("/assistants/<assistant_id>", methods=["POST"])
@blueprint.arguments(ModifyAssistant(partial=True))
@blueprint.response(200, Assistant())
def modify_assistant(changes: dict[str, Any], assistant_id: str) -> Any:
    """Modify an assistant: what is absent stays as it is."""
    with transaction() as tx:
        return operations.update_assistant(tx, project_id(), assistant_id, changes)


@blueprint.route("/assistants/<assistant_id>", methods=["DELETE"])
@blueprint.response(200, deleted("assistant"))
def delete_assistant(assistant_id: str) -> Any:
    """Delete an assistant. Runs that have begun go on."""
    with single() as tx:
        assistants.delete(tx, project_id(), assistant_id)
    return {"id": assistant_id}
