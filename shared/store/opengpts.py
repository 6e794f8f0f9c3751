"""Objects as the OpenGPTs dialect names them: which assistant or thread an id of a user's stands
for, and what only that dialect knows of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Json

from shared.db import Transaction
from shared.errors import NotFound

_ASSISTANTS = (
    "SELECT o.id, o.user_id, o.assistant_id, coalesce(a.name, '') AS name, o.config, o.public,"
    " o.updated_at FROM opengpts_assistants AS o JOIN assistants AS a ON a.id = o.assistant_id"
    " WHERE o.project_id = %(project_id)s"
)
_THREADS = (
    "SELECT id, user_id, thread_id, assistant_id, name, updated_at FROM opengpts_threads"
    " WHERE project_id = %(project_id)s AND user_id = %(user_id)s"
)


@dataclass(frozen=True)
class Owner:
    """A user, as the client says who that is, inside a project, which the key says."""

    project_id: str
    user_id: str


@dataclass(frozen=True, kw_only=True)
class Assistant:
    """`assistant_id` is the assistant's own id, `id` this dialect's."""

    id: str
    user_id: str
    assistant_id: str
    name: str
    config: dict[str, Any]
    public: bool
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class Thread:
    """`thread_id` is the thread's own id; `assistant_id` is what the client named."""

    id: str
    user_id: str
    thread_id: str
    assistant_id: str
    name: str
    updated_at: datetime


def lock_id(tx: Transaction, owner: Owner, id_: str) -> None:
    """Until the transaction ends nobody else makes an object of the owner's with this id."""
    tx.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(E'\\n', %(project_id)s::text,"
        " %(user_id)s::text, %(id)s::text), 0))",
        _of(owner, id_),
    )


def own_assistant(tx: Transaction, owner: Owner, id_: str) -> Assistant | None:
    return tx.one(
        Assistant,
        _ASSISTANTS + " AND o.user_id = %(user_id)s AND o.id = %(id)s",
        _of(owner, id_),
    )


def get_assistant(tx: Transaction, owner: Owner, id_: str) -> Assistant:
    """The owner's, or else the oldest public one with this id."""
    assistant = tx.one(
        Assistant,
        _ASSISTANTS + " AND o.id = %(id)s AND (o.user_id = %(user_id)s OR o.public)"
        " ORDER BY o.user_id = %(user_id)s DESC, o.sequence LIMIT 1",
        _of(owner, id_),
    )
    if assistant is None:
        raise NotFound("Assistant not found")
    return assistant


def list_assistants(tx: Transaction, owner: Owner) -> list[Assistant]:
    return tx.all(
        Assistant,
        _ASSISTANTS + " AND o.user_id = %(user_id)s ORDER BY o.sequence",
        vars(owner),
    )


def list_public_assistants(
    tx: Transaction, project_id: str, id_: str | None = None
) -> list[Assistant]:
    """Everybody's; only those with this id if one is given."""
    with_id: LiteralString = "" if id_ is None else " AND o.id = %(id)s"
    return tx.all(
        Assistant,
        _ASSISTANTS + " AND o.public" + with_id + " ORDER BY o.sequence",
        {"project_id": project_id, "id": id_},
    )


def put_assistant(
    tx: Transaction,
    owner: Owner,
    id_: str,
    *,
    assistant_id: str,
    config: dict[str, Any],
    public: bool,
) -> None:
    tx.execute(
        "INSERT INTO opengpts_assistants (project_id, user_id, id, assistant_id, config, public)"
        " VALUES (%(project_id)s, %(user_id)s, %(id)s, %(assistant_id)s, %(config)s, %(public)s)"
        " ON CONFLICT (project_id, user_id, id) DO UPDATE SET config = EXCLUDED.config,"
        " public = EXCLUDED.public, updated_at = EXCLUDED.updated_at",
        {**_of(owner, id_), "assistant_id": assistant_id, "config": Json(config), "public": public},
    )


def find_thread(tx: Transaction, owner: Owner, id_: str) -> Thread | None:
    return tx.one(Thread, _THREADS + " AND id = %(id)s", _of(owner, id_))


def get_thread(tx: Transaction, owner: Owner, id_: str) -> Thread:
    thread = find_thread(tx, owner, id_)
    if thread is None:
        raise NotFound("Thread not found")
    return thread


def list_threads(tx: Transaction, owner: Owner) -> list[Thread]:
    return tx.all(Thread, _THREADS + " ORDER BY sequence", vars(owner))


def put_thread(
    tx: Transaction, owner: Owner, id_: str, *, thread_id: str, name: str, assistant_id: str
) -> Thread:
    thread = tx.one(
        Thread,
        "INSERT INTO opengpts_threads (project_id, user_id, id, thread_id, name, assistant_id)"
        " VALUES (%(project_id)s, %(user_id)s, %(id)s, %(thread_id)s, %(name)s, %(assistant_id)s)"
        " ON CONFLICT (project_id, user_id, id) DO UPDATE SET name = EXCLUDED.name,"
        " assistant_id = EXCLUDED.assistant_id, updated_at = EXCLUDED.updated_at"
        " RETURNING id, user_id, thread_id, assistant_id, name, updated_at",
        {**_of(owner, id_), "thread_id": thread_id, "name": name, "assistant_id": assistant_id},
    )
    assert thread is not None
    return thread


def _of(owner: Owner, id_: str) -> dict[str, Any]:
    return {**vars(owner), "id": id_}
