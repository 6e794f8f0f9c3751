"""What takes several calls in this dialect's terms: its ids and users on one side, the operations
that every dialect shares on the other. The rules are theirs."""

from collections.abc import Sequence
from uuid import uuid4

from api import operations, wishes
from api.auth import caller
from api.opengpts import configuration
from api.opengpts.schemas import GivenAssistant, GivenRun, GivenThread
from api.run_requests import RunRequest
from shared.db import Transaction
from shared.store import history, opengpts
from shared.store.history import Said
from shared.store.messages import NewMessage
from shared.store.opengpts import Assistant, Owner, Thread
from shared.store.runs import Run


def new_id() -> str:
    return str(uuid4())


def put_assistant(tx: Transaction, owner: Owner, id_: str, given: GivenAssistant) -> Assistant:
    settings = configuration.settings(given.name, given.config)
    opengpts.lock_id(tx, owner, id_)
    known = opengpts.own_assistant(tx, owner, id_)
    if known is None:
        empty = {"tools": [], "tool_resources": {}, "metadata": {}}
        made = operations.create_assistant(tx, owner.project_id, {**empty, **settings})
        assistant_id = made.id
    else:
        assistant_id = known.assistant_id
        operations.update_assistant(tx, owner.project_id, assistant_id, settings)
    opengpts.put_assistant(
        tx, owner, id_, assistant_id=assistant_id, config=given.config, public=given.public
    )
    return opengpts.get_assistant(tx, owner, id_)


def put_thread(tx: Transaction, owner: Owner, id_: str, given: GivenThread) -> Thread:
    """Whether there is such an assistant is asked when it is to run."""
    opengpts.lock_id(tx, owner, id_)
    known = opengpts.find_thread(tx, owner, id_)
    thread_id = known.thread_id if known else _new_thread(tx, owner)
    return opengpts.put_thread(
        tx, owner, id_, thread_id=thread_id, name=given.name, assistant_id=given.assistant_id
    )


def _new_thread(tx: Transaction, owner: Owner) -> str:
    return operations.create_thread(
        tx, owner.project_id, messages=(), tool_resources={}, metadata={}
    ).id


def add_messages(tx: Transaction, owner: Owner, thread_id: str, new: Sequence[NewMessage]) -> None:
    """All or none."""
    thread = opengpts.get_thread(tx, owner, thread_id)
    wait = wishes.may_wait()
    for message in new:
        operations.add_message(tx, owner.project_id, thread.thread_id, message, may_wait=wait)


def start_run(
    tx: Transaction,
    owner: Owner,
    given: GivenRun,
    life_seconds: int,
    run_id: str | None = None,
) -> Run:
    """A `run_id` is given where its stream already listens for it."""
    assistant = opengpts.get_assistant(tx, owner, given.assistant_id)
    thread = opengpts.get_thread(tx, owner, given.thread_id)
    request = RunRequest(
        assistant_id=assistant.assistant_id,
        additional_messages=given.messages,
        stream=run_id is not None,
    )
    return operations.start_run(
        tx,
        owner.project_id,
        thread.thread_id,
        request,
        life_seconds,
        run_id,
        may_wait=wishes.may_wait(),
        most_queued=caller().queued_runs,
    )


def said_in(tx: Transaction, owner: Owner, thread_id: str) -> list[Said] | None:
    """All that was said, oldest first; None where there is no such thread."""
    thread = opengpts.find_thread(tx, owner, thread_id)
    return None if thread is None else history.read(tx, thread.thread_id)
