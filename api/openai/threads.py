"""/threads"""

from typing import Any

from flask import jsonify

from api import operations
from api.auth import project_id
from api.openai import bodies
from api.openai.blueprint import Blueprint
from api.openai.schemas.lists import deleted
from api.openai.schemas.threads import CreateThread, ModifyThread, Thread
from api.repeats import once, opened
from api.runtime import single, transaction
from shared.store import threads

blueprint = Blueprint("threads", "A conversation: messages, and runs that answer them.")


@blueprint.route("/threads", methods=["POST"])
@blueprint.arguments(CreateThread())
@blueprint.response(200, Thread())
def create_thread(body: dict[str, Any]) -> Any:
    """Create a thread, with its first messages if there are any."""
    with opened() as tx:
        return jsonify(
            once(tx, lambda: bodies.thread(operations.create_thread(tx, project_id(), **body)))
        )


@blueprint.route("/threads/<thread_id>", methods=["GET"])
@blueprint.response(200, Thread())
def get_thread(thread_id: str) -> Any:
    """Retrieve a thread."""
    with single() as tx:
        return threads.get(tx, project_id(), thread_id)


@blueprint.route("/threads/<thread_id>", methods=["POST"])
@blueprint.arguments(ModifyThread(partial=True))
@blueprint.response(200, Thread())
def modify_thread(changes: dict[str, Any], thread_id: str) -> Any:
    """Modify a thread: what is absent stays as it is."""
    with transaction() as tx:
        return operations.update_thread(tx, project_id(), thread_id, changes)


@blueprint.route("/threads/<thread_id>", methods=["DELETE"])
@blueprint.response(200, deleted("thread"))
def delete_thread(thread_id: str) -> Any:
    """Delete a thread with its messages, runs and run steps."""
    with transaction() as tx:
        threads.delete(tx, project_id(), thread_id)
    return {"id": thread_id}
