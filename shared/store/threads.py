"""Threads: conversations. Locking a thread's row is what orders its messages and its runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Json

from shared import events
from shared.db import Transaction
from shared.errors import NotFound
from shared.ids import new_id
from shared.store import messages
from shared.store.messages import NewMessage
from shared.store.runs import ACTIVE

_COLUMNS = "id, project_id, created_at, tool_resources, metadata"
_SELECT = "SELECT " + _COLUMNS + " FROM threads WHERE project_id = %(project_id)s AND id = %(id)s"


@dataclass(frozen=True, kw_only=True)
class Thread:
    id: str
    project_id: str
    created_at: datetime
    tool_resources: dict[str, Any]
    metadata: dict[str, str]


# Goes on with FROM where something says whether.
INSERT: LiteralString = (
    "INSERT INTO threads (id, project_id, tool_resources, metadata)"
    " SELECT %(thread_id)s, %(project_id)s, %(thread_tool_resources)s, %(thread_metadata)s"
)


def create(
    tx: Transaction,
    project_id: str,
    *,
    tool_resources: dict[str, Any],
    metadata: dict[str, str],
    first: Sequence[NewMessage] = (),
) -> Thread:
    """With its first messages, in one statement."""
    added: LiteralString = "WITH added AS (" + messages.insert(first) + ") " if first else ""
    thread = tx.one(
        Thread,
        added + INSERT + " RETURNING " + _COLUMNS,
        of_new(project_id, new_id("thread"), tool_resources, metadata, first),
    )
    assert thread is not None
    return thread


def of_new(
    project_id: str,
    thread_id: str,
    tool_resources: dict[str, Any],
    metadata: dict[str, str],
    first: Sequence[NewMessage],
) -> dict[str, Any]:
    """The parameters of INSERT, and those of its first messages."""
    return {
        **messages.of_new(project_id, thread_id, first),
        "thread_tool_resources": Json(tool_resources),
        "thread_metadata": Json(metadata),
    }


def get(tx: Transaction, project_id: str, thread_id: str) -> Thread:
    return _found(tx.one(Thread, _SELECT, {"project_id": project_id, "id": thread_id}), thread_id)


def keep(tx: Transaction, project_id: str, thread_id: str) -> Thread:
    """As `get`; until the transaction ends nobody deletes it. To be called before a run of it is
    locked, as the thread's deletion comes to its runs last: else the two could wait for each
    other."""
    return _found(
        tx.one(Thread, _SELECT + " FOR KEY SHARE", {"project_id": project_id, "id": thread_id}),
        thread_id,
    )


def lock(tx: Transaction, project_id: str, thread_id: str) -> Thread:
    """Until the transaction ends nobody else adds to the thread: what is numbered under this lock
    is seen in the order of its numbers."""
    return _found(
        tx.one(Thread, _SELECT + " FOR NO KEY UPDATE", {"project_id": project_id, "id": thread_id}),
        thread_id,
    )


def update(tx: Transaction, project_id: str, thread_id: str, changes: Mapping[str, Any]) -> Thread:
    thread = lock(tx, project_id, thread_id)
    values = {**vars(thread), **changes}
    updated = tx.one(
        Thread,
        "UPDATE threads SET tool_resources = %(tool_resources)s, metadata = %(metadata)s"
        " WHERE id = %(id)s RETURNING " + _COLUMNS,
        {
            "id": thread_id,
            "tool_resources": Json(values["tool_resources"]),
            "metadata": Json(values["metadata"]),
        },
    )
    return _found(updated, thread_id)


def delete(tx: Transaction, project_id: str, thread_id: str) -> None:
    """Takes messages, runs and steps along; a worker that holds a run of it loses the run, and who
    waits for one hears of it."""
    named = {"project_id": project_id, "id": thread_id}
    # Whoever makes a run of it has done so then, or finds no thread.
    _found(tx.one(Thread, _SELECT + " FOR UPDATE", named), thread_id)
    for run_id in tx.values("SELECT id FROM runs WHERE thread_id = %(id)s AND " + ACTIVE, named):
        tx.after_commit(events.publish_gone, run_id)
    tx.execute("DELETE FROM threads WHERE id = %(id)s", named)


def _found(thread: Thread | None, thread_id: str) -> Thread:
    if thread is None:
        raise _not_found(thread_id)
    return thread


def _not_found(thread_id: str) -> NotFound:
    return NotFound(f"No thread found with id '{thread_id}'.")
