"""/threads/{thread_id}/messages"""

from typing import Any

from flask import jsonify

from api import operations, wishes
from api.auth import project_id
from api.openai import bodies
from api.openai.blueprint import Blueprint
from api.openai.schemas.lists import MessagePageQuery, deleted, list_of
from api.openai.schemas.messages import CreateMessage, Message, ModifyMessage
from api.repeats import once, sent
from api.runtime import single, transaction
from shared.db import Transaction
from shared.store import messages, threads
from shared.store.messages import NewMessage
from shared.store.pages import PageRequest

blueprint = Blueprint("messages", "What was said in a thread, in order.")


@blueprint.route("/threads/<thread_id>/messages", methods=["POST"])
@blueprint.arguments(CreateMessage())
@blueprint.response(200, Message())
def create_message(new: NewMessage, thread_id: str) -> Any:
    """Add a message to a thread that has no active run, or behind the answers of those it has."""
    with transaction() as tx:
        return jsonify(once(tx, lambda: bodies.message(_add(tx, thread_id, new))))


def _add(tx: Transaction, thread_id: str, new: NewMessage) -> messages.Message:
    return operations.add_message(
        tx, project_id(), thread_id, new, sent(), may_wait=wishes.may_wait()
    )


@blueprint.route("/threads/<thread_id>/messages", methods=["GET"])
@blueprint.arguments(MessagePageQuery(), location="query")
@blueprint.response(200, list_of(Message))
def list_messages(query: tuple[PageRequest, str | None], thread_id: str) -> Any:
    """List the messages of a thread, the newest first."""
    page, run_id = query
    with single() as tx:
        if page.after is None and page.before is None:
            listed = messages.list_page(tx, project_id(), thread_id, page, run_id)
            if listed.data:
                return listed
        threads.get(tx, project_id(), thread_id)
        return messages.list_page(tx, project_id(), thread_id, page, run_id)


@blueprint.route("/threads/<thread_id>/messages/<message_id>", methods=["GET"])
@blueprint.response(200, Message())
def get_message(thread_id: str, message_id: str) -> Any:
    """Retrieve a message."""
    with single() as tx:
        threads.get(tx, project_id(), thread_id)
        return messages.get(tx, project_id(), thread_id, message_id)


@blueprint.route("/threads/<thread_id>/messages/<message_id>", methods=["POST"])
@blueprint.arguments(ModifyMessage(partial=True))
@blueprint.response(200, Message())
def modify_message(changes: dict[str, Any], thread_id: str, message_id: str) -> Any:
    """Modify a message's metadata."""
    with single() as tx:
        threads.get(tx, project_id(), thread_id)
        return messages.update(tx, project_id(), thread_id, message_id, changes.get("metadata"))


@blueprint.route("/threads/<thread_id>/messages/<message_id>", methods=["DELETE"])
@blueprint.response(200, deleted("thread.message"))
def delete_message(thread_id: str, message_id: str) -> Any:
    """Delete a message."""
    with single() as tx:
        threads.get(tx, project_id(), thread_id)
        messages.delete(tx, project_id(), thread_id, message_id)
    return {"id": message_id}
