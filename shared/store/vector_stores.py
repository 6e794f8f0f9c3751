"""Vector stores: what may be searched together, and until when. Its files are in
`vector_store_files`, what is found in `chunks`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Json

from shared.db import Transaction
from shared.errors import Conflict, NotFound
from shared.ids import is_wellformed, new_id
from shared.store import pages, vector_store_files
from shared.store.pages import Page, PageRequest

COUNTS: LiteralString = (
    "count(*) FILTER (WHERE status = 'in_progress') AS in_progress,"
    " count(*) FILTER (WHERE status = 'completed') AS completed,"
    " count(*) FILTER (WHERE status = 'failed') AS failed,"
    " count(*) FILTER (WHERE status = 'cancelled') AS cancelled"
)
_SELECT = (
    "SELECT id, project_id, created_at, name, description, metadata, last_active_at,"
    " expires_after_days, expires_at, coalesce(expires_at <= now(), FALSE) AS is_expired, counts.*"
    " FROM vector_stores, LATERAL (SELECT " + COUNTS + ","
    " coalesce(sum(usage_bytes), 0)::bigint AS usage_bytes FROM vector_store_files"
    " WHERE vector_store_id = vector_stores.id) AS counts WHERE project_id = %(project_id)s"
)
# One that is used all the time is not written all the time.
_ACTIVE_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class NewVectorStore:
    name: str | None = None
    description: str | None = None
    metadata: dict[str, str]
    expires_after_days: int | None = None  # without use; None: never


@dataclass(frozen=True, kw_only=True)
class VectorStore(NewVectorStore):
    id: str
    project_id: str
    created_at: datetime
    last_active_at: datetime
    expires_at: datetime | None
    is_expired: bool
    usage_bytes: int
    # Of its files.
    in_progress: int
    completed: int
    failed: int
    cancelled: int


def create(tx: Transaction, project_id: str, new: NewVectorStore) -> str:
    """Its id."""
    store_id = new_id("vs")
    tx.execute(
        "INSERT INTO vector_stores (id, project_id, name, description, metadata,"
        " expires_after_days, expires_at) VALUES (%(id)s, %(project_id)s, %(name)s,"
        " %(description)s, %(metadata)s, %(expires_after_days)s,"
        " clock_timestamp() + make_interval(days => %(expires_after_days)s))",
        {**vars(new), "id": store_id, "project_id": project_id, "metadata": Json(new.metadata)},
    )
    return store_id


def get(tx: Transaction, project_id: str, store_id: str) -> VectorStore:
    store = None
    if is_wellformed(store_id):
        store = tx.one(
            VectorStore, _SELECT + " AND id = %(id)s", {"project_id": project_id, "id": store_id}
        )
    if store is None:
        raise _not_found(store_id)
    return store


def require(tx: Transaction, project_id: str, store_id: str) -> None:
    """Raises NotFound for one that is none of the project's."""
    if not is_wellformed(store_id) or not tx.value(
        "SELECT TRUE FROM vector_stores WHERE project_id = %(project_id)s AND id = %(id)s",
        {"project_id": project_id, "id": store_id},
    ):
        raise _not_found(store_id)


def lock(tx: Transaction, project_id: str, store_id: str) -> None:
    """Until the transaction ends nobody else changes it or what it contains: what is numbered
    under this lock is seen in the order of its numbers."""
    found = is_wellformed(store_id) and tx.execute(
        "SELECT FROM vector_stores WHERE project_id = %(project_id)s AND id = %(id)s"
        " FOR NO KEY UPDATE",
        {"project_id": project_id, "id": store_id},
    )
    if not found:
        raise _not_found(store_id)


def lock_live(tx: Transaction, project_id: str, store_id: str) -> None:
    """As `lock`. Raises Conflict for one that has expired."""
    lock(tx, project_id, store_id)
    require_live(tx, project_id, [store_id])


def require_live(tx: Transaction, project_id: str, store_ids: Sequence[str]) -> None:
    """Raises NotFound for the first that is none of the project's, Conflict for one expired."""
    live: dict[str, str] = dict(
        tx.values(
            "SELECT ARRAY[id, (expires_at IS NULL OR expires_at > now())::text]"
            " FROM vector_stores WHERE project_id = %(project_id)s AND id = ANY(%(ids)s)",
            {"project_id": project_id, "ids": [one for one in store_ids if is_wellformed(one)]},
        )
    )
    for store_id in store_ids:
        if store_id not in live:
            raise _not_found(store_id)
        if live[store_id] != "true":
            raise Conflict(f"Vector store '{store_id}' has expired.")


def list_page(tx: Transaction, project_id: str, request: PageRequest) -> Page[VectorStore]:
    return pages.read(
        tx,
        VectorStore,
        request,
        select=_SELECT,
        cursor="SELECT sequence FROM vector_stores"
        " WHERE project_id = %(project_id)s AND id = %(cursor)s",
        parameters={"project_id": project_id},
    )


def update(
    tx: Transaction, project_id: str, store_id: str, changes: Mapping[str, Any]
) -> VectorStore:
    """Changes only what is named. Raises Conflict where one that has expired is to live longer."""
    lock(tx, project_id, store_id)
    if "expires_after_days" in changes:
        require_live(tx, project_id, [store_id])
    store = get(tx, project_id, store_id)
    values = {**vars(store), **changes}
    tx.execute(
        "UPDATE vector_stores SET name = %(name)s, metadata = %(metadata)s,"
        " expires_after_days = %(days)s,"
        " expires_at = last_active_at + make_interval(days => %(days)s) WHERE id = %(id)s",
        {
            "id": store_id,
            "name": values["name"],
            "metadata": Json(values["metadata"]),
            "days": values["expires_after_days"],
        },
    )
    return get(tx, project_id, store_id)


def touch(tx: Transaction, project_id: str, store_ids: Sequence[str]) -> None:
    """They are used now. One that has expired stays so."""
    tx.execute(
        "UPDATE vector_stores SET last_active_at = now(),"
        " expires_at = now() + make_interval(days => expires_after_days)"
        " WHERE project_id = %(project_id)s AND id = ANY(%(ids)s)"
        " AND last_active_at < now() - make_interval(secs => %(seconds)s)"
        " AND (expires_at IS NULL OR expires_at > now())",
        {"project_id": project_id, "ids": list(store_ids), "seconds": _ACTIVE_SECONDS},
    )


def delete(tx: Transaction, project_id: str, store_id: str) -> None:
    """With what it contains; the files themselves stay."""
    lock(tx, project_id, store_id)
    vector_store_files.remove_all(tx, store_id)
    tx.execute("DELETE FROM vector_stores WHERE id = %(id)s", {"id": store_id})


def _not_found(store_id: str) -> NotFound:
    return NotFound(f"No vector store found with id '{store_id}'.")
