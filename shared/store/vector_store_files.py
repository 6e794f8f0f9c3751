"""Files in vector stores: which, with what attributes, and how far they are. A file's status is
changed in `ingestions` only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from shared import queue
from shared.db import Transaction
from shared.errors import Invalid, NotFound
from shared.ids import is_wellformed
from shared.ingest_state import IngestStatus
from shared.store import pages
from shared.store.pages import Page, PageRequest

# What was uploaded for something else is not read as text.
PURPOSES = ("assistants", "assistants_output", "user_data")
CHUNK_TOKENS, OVERLAP_TOKENS = 800, 400

COLUMNS: LiteralString = (
    "file_id AS id, vector_store_id, created_at, status, last_error, usage_bytes,"
    " max_chunk_size_tokens, chunk_overlap_tokens, attributes"
)
_SELECT = (
    "SELECT " + COLUMNS + " FROM vector_store_files AS files"
    " WHERE vector_store_id = %(vector_store_id)s AND project_id = %(project_id)s"
)
_IN_BATCH = (
    " AND EXISTS (SELECT FROM vector_store_batch_files AS of_batch"
    " WHERE batch_id = %(batch_id)s AND ingestion = files.sequence)"
)


@dataclass(frozen=True, kw_only=True)
class NewStoreFile:
    file_id: str
    max_chunk_size_tokens: int = CHUNK_TOKENS
    chunk_overlap_tokens: int = OVERLAP_TOKENS
    attributes: dict[str, Any] | None = None  # None: as they are, or none


@dataclass(frozen=True, kw_only=True)
class StoreFile:
    id: str  # the file's: in a store it has none of its own
    vector_store_id: str
    created_at: datetime
    status: IngestStatus
    last_error: dict[str, str] | None
    usage_bytes: int
    max_chunk_size_tokens: int
    chunk_overlap_tokens: int
    attributes: dict[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", IngestStatus(self.status))


def add(
    tx: Transaction,
    project_id: str,
    store_id: str,
    new: Sequence[NewStoreFile],
    batch_id: str | None = None,
) -> None:
    """The store is locked. A file that is there already, as it would be put in, stays; one that
    failed, was cancelled or is to be cut otherwise begins anew. Of a file that is named twice the
    last word counts."""
    named = {one.file_id: one for one in new}
    _require_suitable(tx, project_id, list(named))
    parameters = {
        "vector_store_id": store_id,
        "project_id": project_id,
        "batch_id": batch_id,
        "ids": list(named),
        "sizes": [one.max_chunk_size_tokens for one in named.values()],
        "overlaps": [one.chunk_overlap_tokens for one in named.values()],
        "attributes": [
            None if one.attributes is None else Jsonb(one.attributes) for one in named.values()
        ],
    }
    _remove(
        tx,
        "vector_store_id = %(vector_store_id)s AND EXISTS (SELECT FROM "
        + _GIVEN
        + " WHERE given.file_id = vector_store_files.file_id AND (status IN ('failed', 'cancelled')"
        " OR given.size <> max_chunk_size_tokens OR given.overlap <> chunk_overlap_tokens))",
        parameters,
    )
    added = tx.execute(
        "INSERT INTO vector_store_files (vector_store_id, file_id, project_id,"
        " max_chunk_size_tokens, chunk_overlap_tokens, attributes)"
        " SELECT %(vector_store_id)s, file_id, %(project_id)s, size, overlap,"
        " coalesce(attributes, '{}') FROM " + _GIVEN + " ORDER BY place"
        " ON CONFLICT (vector_store_id, file_id) DO NOTHING",
        parameters,
    )
    tx.execute(
        "UPDATE vector_store_files AS files SET attributes = given.attributes FROM "
        + _GIVEN
        + " WHERE vector_store_id = %(vector_store_id)s AND files.file_id = given.file_id"
        " AND files.attributes <> given.attributes",
        parameters,
    )
    if batch_id is not None:
        tx.execute(
            "INSERT INTO vector_store_batch_files (batch_id, ingestion)"
            " SELECT %(batch_id)s, sequence FROM vector_store_files"
            " WHERE vector_store_id = %(vector_store_id)s AND file_id = ANY(%(ids)s)",
            parameters,
        )
    if added:
        tx.after_commit(queue.ring_for_files)


_GIVEN: LiteralString = (
    "unnest(%(ids)s::text[], %(sizes)s::integer[], %(overlaps)s::integer[],"
    " %(attributes)s::jsonb[]) WITH ORDINALITY AS given (file_id, size, overlap, attributes, place)"
)


def get(tx: Transaction, project_id: str, store_id: str, file_id: str) -> StoreFile:
    """The store is the project's."""
    file = None
    if is_wellformed(file_id):
        file = tx.one(
            StoreFile,
            _SELECT + " AND file_id = %(file_id)s",
            {"vector_store_id": store_id, "project_id": project_id, "file_id": file_id},
        )
    if file is None:
        raise _not_found(store_id, file_id)
    return file


def list_page(
    tx: Transaction,
    project_id: str,
    store_id: str,
    request: PageRequest,
    status: str | None = None,
    batch_id: str | None = None,
) -> Page[StoreFile]:
    """Of that status and of that batch, or all."""
    select = _SELECT
    if status is not None:
        select += " AND status = %(status)s"
    if batch_id is not None:
        select += _IN_BATCH
    return pages.read(
        tx,
        StoreFile,
        request,
        select=select,
        cursor="SELECT sequence FROM vector_store_files WHERE project_id = %(project_id)s"
        " AND vector_store_id = %(vector_store_id)s AND file_id = %(cursor)s",
        parameters={
            "vector_store_id": store_id,
            "project_id": project_id,
            "status": status,
            "batch_id": batch_id,
        },
    )


def set_attributes(
    tx: Transaction, project_id: str, store_id: str, file_id: str, attributes: dict[str, Any]
) -> StoreFile:
    get(tx, project_id, store_id, file_id)
    tx.execute(
        "UPDATE vector_store_files SET attributes = %(attributes)s"
        " WHERE vector_store_id = %(vector_store_id)s AND file_id = %(file_id)s",
        {
            "vector_store_id": store_id,
            "file_id": file_id,
            "attributes": Jsonb(attributes),
        },
    )
    return get(tx, project_id, store_id, file_id)


def remove(tx: Transaction, project_id: str, store_id: str, file_id: str) -> None:
    """From this store; the file stays. A worker that holds it loses it."""
    get(tx, project_id, store_id, file_id)
    _remove(
        tx,
        "vector_store_id = %(vector_store_id)s AND file_id = %(file_id)s",
        {"vector_store_id": store_id, "file_id": file_id},
    )


def remove_all(tx: Transaction, store_id: str) -> None:
    """The store is locked."""
    _remove(tx, "vector_store_id = %(vector_store_id)s", {"vector_store_id": store_id})


def remove_everywhere(tx: Transaction, file_ids: Sequence[str]) -> None:
    """From all stores. The files' rows are locked, so that nobody puts them in again."""
    _remove(tx, "file_id = ANY(%(file_ids)s)", {"file_ids": list(file_ids)})


def _remove(tx: Transaction, condition: LiteralString, parameters: dict[str, Any]) -> None:
    tx.execute(
        "WITH gone AS (DELETE FROM vector_store_files WHERE " + condition + " RETURNING sequence)"
        " INSERT INTO unowned_chunks (ingestion) SELECT sequence FROM gone ON CONFLICT DO NOTHING",
        parameters,
    )


def _require_suitable(tx: Transaction, project_id: str, file_ids: list[str]) -> None:
    """They stay until the transaction ends. Raises NotFound, or Invalid for one that was uploaded
    for something else."""
    found: dict[str, str] = dict(
        tx.values(
            "SELECT ARRAY[id, purpose] FROM files WHERE project_id = %(project_id)s"
            " AND id = ANY(%(ids)s) AND (expires_at IS NULL OR expires_at > now())"
            " ORDER BY id FOR KEY SHARE",
            {"project_id": project_id, "ids": [one for one in file_ids if is_wellformed(one)]},
        )
    )
    for file_id in file_ids:
        if file_id not in found:
            raise NotFound(f"No such File object: {file_id}", param="file_id")
        if found[file_id] not in PURPOSES:
            raise Invalid(
                f"Invalid 'file_id': the file {file_id} was uploaded for '{found[file_id]}'."
                " Expected a file that was uploaded for 'assistants' or 'user_data'.",
                param="file_id",
                code="invalid_value",
            )


def _not_found(store_id: str, file_id: str) -> NotFound:
    return NotFound(f"No file found with id '{file_id}' in vector store '{store_id}'.")
