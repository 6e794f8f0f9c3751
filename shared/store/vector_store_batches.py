"""Batches of files that were put into a vector store together. Where they stand is counted from
their files."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.db import Transaction
from shared.errors import NotFound
from shared.ids import is_wellformed, new_id
from shared.store import ingestions, vector_store_files, vector_stores
from shared.store.vector_store_files import NewStoreFile

_SELECT = (
    "SELECT id, vector_store_id, created_at, cancelled_at, counts.*"
    " FROM vector_store_file_batches AS batches, LATERAL (SELECT "
    + vector_stores.COUNTS
    + " FROM vector_store_batch_files AS of_batch"
    " JOIN vector_store_files AS files ON files.sequence = ingestion"
    " WHERE batch_id = batches.id) AS counts"
    " WHERE vector_store_id = %(vector_store_id)s AND id = %(id)s AND EXISTS (SELECT"
    " FROM vector_stores WHERE id = %(vector_store_id)s AND project_id = %(project_id)s)"
)


@dataclass(frozen=True, kw_only=True)
class FileBatch:
    id: str
    vector_store_id: str
    created_at: datetime
    cancelled_at: datetime | None
    # Of its files.
    in_progress: int
    completed: int
    failed: int
    cancelled: int


def create(
    tx: Transaction, project_id: str, store_id: str, new: Sequence[NewStoreFile]
) -> FileBatch:
    """The store is locked. All of the files or none."""
    batch_id = new_id("vsfb")
    tx.execute(
        "INSERT INTO vector_store_file_batches (id, vector_store_id)"
        " VALUES (%(id)s, %(vector_store_id)s)",
        {"id": batch_id, "vector_store_id": store_id},
    )
    vector_store_files.add(tx, project_id, store_id, new, batch_id)
    return get(tx, project_id, store_id, batch_id)


def get(tx: Transaction, project_id: str, store_id: str, batch_id: str) -> FileBatch:
    batch = None
    if is_wellformed(batch_id):
        batch = tx.one(
            FileBatch,
            _SELECT,
            {"project_id": project_id, "vector_store_id": store_id, "id": batch_id},
        )
    if batch is None:
        raise NotFound(f"No file batch found with id '{batch_id}' in vector store '{store_id}'.")
    return batch


def cancel(tx: Transaction, project_id: str, store_id: str, batch_id: str) -> FileBatch:
    """Whatever of it is not finished. One that has ended stays as it is."""
    vector_stores.lock(tx, project_id, store_id)
    get(tx, project_id, store_id, batch_id)
    if ingestions.cancel(tx, batch_id):
        tx.execute(
            "UPDATE vector_store_file_batches SET cancelled_at = now() WHERE id = %(id)s",
            {"id": batch_id},
        )
    return get(tx, project_id, store_id, batch_id)
