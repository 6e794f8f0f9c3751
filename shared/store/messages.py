"""Messages: what was said in a thread, in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Json

from shared.db import Transaction
from shared.errors import NotFound
from shared.ids import new_id
from shared.store import pages
from shared.store.pages import Page, PageRequest
from shared.store.runs import Run

_COLUMNS = (
    "id, project_id, thread_id, created_at, role, content, attachments, metadata, assistant_id,"
    " run_id, status, completed_at, incomplete_at, incomplete_details"
)
_SELECT = (
    "SELECT "
    + _COLUMNS
    + " FROM messages WHERE project_id = %(project_id)s AND thread_id = %(thread_id)s"
)
_CURSOR = (
    "SELECT sequence FROM messages"
    " WHERE project_id = %(project_id)s AND thread_id = %(thread_id)s AND id = %(cursor)s"
)


@dataclass(frozen=True, kw_only=True)
class NewMessage:
    """`content` is a list of parts as the wire shows them, `{"type": "text", "text": {…}}`."""

    role: str
    content: list[dict[str, Any]]
    attachments: list[dict[str, Any]]
    metadata: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Message(NewMessage):
    id: str
    project_id: str
    thread_id: str
    created_at: datetime
    assistant_id: str | None
    run_id: str | None
    status: str
    completed_at: datetime | None
    incomplete_at: datetime | None
    incomplete_details: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class NewAnswer:
    """`created_at` in Unix seconds by the database's clock. `incomplete_reason` is the wire's:
    max_tokens, content_filter, run_failed, … or None if whole."""

    id: str
    created_at: float
    content: list[dict[str, Any]]
    incomplete_reason: str | None = None


_INSERT: LiteralString = (
    "INSERT INTO messages (id, project_id, thread_id, role, content, attachments, metadata)"
    " SELECT id, %(project_id)s, %(thread_id)s, role, content, attachments, metadata FROM "
)
_NEW: LiteralString = " AS new (id, role, content, attachments, metadata, number)"
# Most threads begin with one message, which costs less than an array of one.
_ONE: LiteralString = (
    "(VALUES (%(message_ids)s, %(message_roles)s, %(message_contents)s::json,"
    " %(message_attachments)s::json, %(message_metadata)s::json, 1))" + _NEW
)
_ANY: LiteralString = (
    "unnest(%(message_ids)s::text[], %(message_roles)s::text[],"
    " %(message_contents)s::json[], %(message_attachments)s::json[], %(message_metadata)s::json[])"
    " WITH ORDINALITY" + _NEW
)

# May be part of a statement that says FROM where, and so whether.
CREATE_ANSWER: LiteralString = (
    "INSERT INTO messages (id, project_id, thread_id, created_at, role, content, attachments,"
    " metadata, assistant_id, run_id, status, completed_at, incomplete_at, incomplete_details,"
    " sequence) SELECT %(message_id)s, %(project_id)s, %(thread_id)s,"
    " to_timestamp(%(message_created_at)s), 'assistant', %(message_content)s::json, '[]', '{}',"
    " %(assistant_id)s, %(run_id)s, %(message_status)s,"
    " CASE %(message_status)s WHEN 'completed' THEN now() END,"
    " CASE %(message_status)s WHEN 'incomplete' THEN now() END, %(message_details)s::json,"
    " coalesce(1 + coalesce("
    "(SELECT max(sequence) FROM messages WHERE run_id = %(run_id)s), %(place)s),"
    " nextval('messages_sequence_seq'))"
)


def text_part(text: str, annotations: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """A text as the wire shows it among a message's parts."""
    return {"type": "text", "text": {"value": text, "annotations": [*annotations]}}


def create(
    tx: Transaction,
    project_id: str,
    thread_id: str,
    new: NewMessage,
    request_sha256: bytes | None = None,
) -> Message:
    """The thread must be locked. The time is taken after the lock, so it agrees with the order."""
    message = tx.one(
        Message,
        "INSERT INTO messages"
        " (id, project_id, thread_id, role, content, attachments, metadata, request_sha256)"
        " VALUES (%(id)s, %(project_id)s, %(thread_id)s, %(role)s, %(content)s, %(attachments)s,"
        " %(metadata)s, %(request_sha256)s) RETURNING " + _COLUMNS,
        {
            "id": new_id("msg"),
            "project_id": project_id,
            "thread_id": thread_id,
            "role": new.role,
            "content": Json(new.content),
            "attachments": Json(new.attachments),
            "metadata": Json(new.metadata),
            "request_sha256": request_sha256,
        },
    )
    assert message is not None
    return message


def create_all(tx: Transaction, project_id: str, thread_id: str, new: Sequence[NewMessage]) -> None:
    """In their order, at once. The thread must be locked."""
    tx.execute(insert(new), of_new(project_id, thread_id, new))


def insert(new: Sequence[NewMessage], condition: LiteralString = "") -> LiteralString:
    """What puts these in, in their order; with a `condition` that says WHERE, a part of another
    statement."""
    return _INSERT + (_ONE if len(new) == 1 else _ANY) + condition + " ORDER BY number"


def of_new(project_id: str, thread_id: str, new: Sequence[NewMessage]) -> dict[str, Any]:
    """The parameters of `insert`."""
    columns: dict[str, Any] = {
        "message_ids": [new_id("msg") for _ in new],
        "message_roles": [one.role for one in new],
        "message_contents": [Json(one.content) for one in new],
        "message_attachments": [Json(one.attachments) for one in new],
        "message_metadata": [Json(one.metadata) for one in new],
    }
    if len(new) == 1:
        columns = {name: values[0] for name, values in columns.items()}
    return {"project_id": project_id, "thread_id": thread_id, **columns}


def made_by(tx: Transaction, thread_id: str, request_sha256: bytes) -> Message | None:
    """The thread's newest message, if this very request made it a short while ago."""
    return tx.one(
        Message,
        "WITH newest AS (SELECT * FROM messages WHERE thread_id = %(thread_id)s"
        " ORDER BY sequence DESC LIMIT 1) SELECT " + _COLUMNS + " FROM newest"
        " WHERE request_sha256 = %(request_sha256)s"
        " AND created_at > now() - interval '10 minutes'",
        {"thread_id": thread_id, "request_sha256": request_sha256},
    )


def create_answer(tx: Transaction, run: Run, answer: NewAnswer) -> None:
    """What the model said, at the run's place in the thread, behind what the run said before."""
    tx.execute(CREATE_ANSWER, of_answer(run, answer))


def of_answer(run: Run, answer: NewAnswer) -> dict[str, Any]:
    """The parameters of CREATE_ANSWER."""
    reason = answer.incomplete_reason
    return {
        "message_id": answer.id,
        "message_created_at": answer.created_at,
        "message_content": Json(answer.content),
        "message_status": "completed" if reason is None else "incomplete",
        "message_details": None if reason is None else Json({"reason": reason}),
        "place": run.place,
        "project_id": run.project_id,
        "thread_id": run.thread_id,
        "assistant_id": run.assistant_id,
        "run_id": run.id,
    }


def get(tx: Transaction, project_id: str, thread_id: str, message_id: str) -> Message:
    return _found(
        tx.one(Message, _SELECT + " AND id = %(id)s", _key(project_id, thread_id, message_id)),
        message_id,
    )


def list_page(
    tx: Transaction,
    project_id: str,
    thread_id: str,
    request: PageRequest,
    run_id: str | None = None,
) -> Page[Message]:
    of_run: LiteralString = "" if run_id is None else " AND run_id = %(run_id)s"
    return pages.read(
        tx,
        Message,
        request,
        select=_SELECT + of_run,
        cursor=_CURSOR,
        parameters={"project_id": project_id, "thread_id": thread_id, "run_id": run_id},
    )


def update(
    tx: Transaction,
    project_id: str,
    thread_id: str,
    message_id: str,
    metadata: dict[str, str] | None,
) -> Message:
    """None leaves the metadata as it is."""
    return _found(
        tx.one(
            Message,
            "UPDATE messages SET metadata = coalesce(%(metadata)s, metadata)"
            " WHERE project_id = %(project_id)s AND thread_id = %(thread_id)s AND id = %(id)s"
            " RETURNING " + _COLUMNS,
            {
                **_key(project_id, thread_id, message_id),
                "metadata": None if metadata is None else Json(metadata),
            },
        ),
        message_id,
    )


def delete(tx: Transaction, project_id: str, thread_id: str, message_id: str) -> None:
    deleted = tx.execute(
        "DELETE FROM messages"
        " WHERE project_id = %(project_id)s AND thread_id = %(thread_id)s AND id = %(id)s",
        _key(project_id, thread_id, message_id),
    )
    if not deleted:
        raise _not_found(message_id)


def of_run(tx: Transaction, thread_id: str, run_id: str) -> list[Message]:
    """What a run has said so far."""
    return tx.all(
        Message,
        "SELECT " + _COLUMNS + " FROM messages"
        " WHERE thread_id = %(thread_id)s AND run_id = %(run_id)s",
        {"thread_id": thread_id, "run_id": run_id},
    )


def of_runs(tx: Transaction, project_id: str, run_ids: Sequence[str]) -> list[Message]:
    """What these have said, each in its order."""
    return tx.all(
        Message,
        "SELECT " + _COLUMNS + " FROM messages WHERE project_id = %(project_id)s"
        " AND run_id = ANY(%(ids)s) ORDER BY sequence",
        {"project_id": project_id, "ids": [*run_ids]},
    )


def _key(project_id: str, thread_id: str, message_id: str) -> dict[str, str]:
    return {"project_id": project_id, "thread_id": thread_id, "id": message_id}


def _found(message: Message | None, message_id: str) -> Message:
    if message is None:
        raise _not_found(message_id)
    return message


def _not_found(message_id: str) -> NotFound:
    return NotFound(f"No message found with id '{message_id}'.")
