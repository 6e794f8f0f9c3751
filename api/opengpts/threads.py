"""/threads, what is said in them, and the later reads of their state."""

from typing import Any

from api.opengpts import operations, shapes
from api.opengpts.blueprint import Blueprint
from api.opengpts.errors import reply
from api.opengpts.identity import owner
from api.opengpts.paths import require_id
from api.opengpts.schemas import GivenThread, Messages, PutThread
from api.runtime import single, transaction
from shared.errors import NotFound
from shared.store import opengpts

blueprint = Blueprint("threads")


@blueprint.route("/threads", methods=["POST"])
@blueprint.arguments(PutThread())
def create_thread(given: GivenThread) -> Any:
    return _put(operations.new_id(), given)


@blueprint.route("/threads/<thread_id>", methods=["PUT"])
@blueprint.arguments(PutThread())
def put_thread(given: GivenThread, thread_id: str) -> Any:
    require_id("tid", thread_id)
    return _put(thread_id, given)


@blueprint.route("/threads", methods=["GET"])
def list_threads() -> Any:
    with single() as tx:
        return reply([shapes.thread(one) for one in opengpts.list_threads(tx, owner())])


@blueprint.route("/threads/<thread_id>", methods=["GET"])
def get_thread(thread_id: str) -> Any:
    require_id("tid", thread_id)
    with single() as tx:
        return reply(shapes.thread(opengpts.get_thread(tx, owner(), thread_id)))


@blueprint.route("/threads/<thread_id>/messages", methods=["POST"])
@blueprint.arguments(Messages())
def add_messages(given: dict[str, Any], thread_id: str) -> Any:
    require_id("tid", thread_id)
    user = owner()
    with transaction() as tx:
        operations.add_messages(tx, user, thread_id, given["messages"])
    return reply(None)


@blueprint.route("/threads/<thread_id>/messages", methods=["GET"])
def list_messages(thread_id: str) -> Any:
    """A thread that is not known has none."""
    return reply({"messages": _messages(thread_id) or []})


@blueprint.route("/threads/<thread_id>/state", methods=["GET"])
def get_state(thread_id: str) -> Any:
    return reply({"values": _state(thread_id), "next": []})


@blueprint.route("/threads/<thread_id>/history", methods=["GET"])
def list_states(thread_id: str) -> Any:
    """The newest state only: earlier ones are not kept apart from it."""
    config = {"configurable": {"thread_id": thread_id}}
    state = {"values": _state(thread_id), "next": [], "config": config, "parent": None}
    return reply([state])


def _put(thread_id: str, given: GivenThread) -> Any:
    user = owner()
    with transaction() as tx:
        return reply(shapes.thread(operations.put_thread(tx, user, thread_id, given)))


def _state(thread_id: str) -> dict[str, Any]:
    messages = _messages(thread_id)
    if messages is None:
        raise NotFound("Thread not found")
    return {"messages": messages}


def _messages(thread_id: str) -> list[dict[str, Any]] | None:
    require_id("tid", thread_id)
    user = owner()
    with single() as tx:
        said = operations.said_in(tx, user, thread_id)
    return None if said is None else [shapes.message(one) for one in said]
