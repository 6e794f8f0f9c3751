"""Files: what a caller uploaded, and what is made for callers. Here their rows; `shared/blobs`
has their bytes.

Bytes without a row are known by name: a writer says so before its first byte, and whoever deletes a
row says so with it. So nothing is left behind by a crash, and nothing is deleted of which this
database knows nothing.
"""

from dataclasses import dataclass
from datetime import datetime

from shared.db import Transaction
from shared.errors import Conflict, NotFound
from shared.ids import is_wellformed
from shared.store import pages, vector_store_files
from shared.store.pages import Page, PageRequest

# Longer than any upload may take, see `api/uploads.py`.
_WRITING_HOURS = 12

_COLUMNS = "id, project_id, created_at, expires_at, purpose, filename, size, sha256"
_THERE = "project_id = %(project_id)s AND (expires_at IS NULL OR expires_at > now())"
_SELECT = "SELECT " + _COLUMNS + " FROM files WHERE " + _THERE


@dataclass(frozen=True, kw_only=True)
class NewFile:
    id: str
    purpose: str
    filename: str
    size: int  # in bytes
    sha256: bytes
    life_seconds: int | None = None  # None: until it is deleted


@dataclass(frozen=True, kw_only=True)
class File:
    id: str
    project_id: str
    created_at: datetime
    expires_at: datetime | None
    purpose: str
    filename: str
    size: int  # in bytes
    sha256: bytes


def begin(tx: Transaction, file_id: str) -> None:
    """Before the first byte of it is written."""
    tx.execute(
        "INSERT INTO unowned_blobs (id, due_at)"
        " VALUES (%(id)s, now() + make_interval(hours => %(hours)s))",
        {"id": file_id, "hours": _WRITING_HOURS},
    )


def create(tx: Transaction, project_id: str, new: NewFile, most_bytes: int = 0) -> File:
    """Its bytes are complete, and were begun here. Raises Conflict where the project's files would
    have more than `most_bytes`; 0 means that they may have any number."""
    if most_bytes:
        tx.execute("SELECT FROM projects WHERE id = %(id)s FOR NO KEY UPDATE", {"id": project_id})
        require_room(tx, project_id, new.size, most_bytes)
    owned = tx.execute("DELETE FROM unowned_blobs WHERE id = %(id)s", {"id": new.id})
    if not owned:
        raise Conflict("The upload took too long.")
    file = tx.one(
        File,
        "INSERT INTO files (id, project_id, purpose, filename, size, sha256, expires_at)"
        " VALUES (%(id)s, %(project_id)s, %(purpose)s, %(filename)s, %(size)s, %(sha256)s,"
        " clock_timestamp() + make_interval(secs => %(life_seconds)s)) RETURNING " + _COLUMNS,
        {"project_id": project_id, **vars(new)},
    )
    assert file is not None
    return file


def require_room(tx: Transaction, project_id: str, more_bytes: int, most_bytes: int) -> None:
    """Raises Conflict."""
    stored = tx.value(
        "SELECT coalesce(sum(size), 0)::bigint FROM files WHERE " + _THERE,
        {"project_id": project_id},
    )
    if most_bytes and stored + more_bytes > most_bytes:
        raise Conflict(
            f"You have exceeded your file storage quota: your files have {stored} bytes of"
            f" {most_bytes}. Delete some and try again.",
            code="file_quota_exceeded",
        )


def get(tx: Transaction, project_id: str, file_id: str) -> File:
    file = None
    if is_wellformed(file_id):
        file = tx.one(File, _SELECT + " AND id = %(id)s", {"project_id": project_id, "id": file_id})
    if file is None:
        raise _not_found(file_id)
    return file


def keep(tx: Transaction, project_id: str, file_id: str) -> File:
    """As `get`; until the transaction ends nobody deletes it."""
    get(tx, project_id, file_id)
    file = tx.one(
        File,
        _SELECT + " AND id = %(id)s FOR SHARE",
        {"project_id": project_id, "id": file_id},
    )
    if file is None:
        raise _not_found(file_id)
    return file


def list_page(
    tx: Transaction, project_id: str, request: PageRequest, purpose: str | None = None
) -> Page[File]:
    """Of that purpose, or all."""
    select = _SELECT if purpose is None else _SELECT + " AND purpose = %(purpose)s"
    return pages.read(
        tx,
        File,
        request,
        select=select,
        cursor="SELECT sequence FROM files WHERE project_id = %(project_id)s AND id = %(cursor)s",
        parameters={"project_id": project_id, "purpose": purpose},
    )


def delete(tx: Transaction, project_id: str, file_id: str) -> None:
    get(tx, project_id, file_id)
    _disown(tx, [file_id])


def expire(tx: Transaction, most: int) -> int:
    """How many files were over, and now are gone."""
    ids = tx.values(
        "SELECT id FROM files WHERE expires_at <= now()"
        " ORDER BY expires_at LIMIT %(most)s FOR UPDATE SKIP LOCKED",
        {"most": most},
    )
    _disown(tx, ids)
    return len(ids)


def due_blob(tx: Transaction) -> str | None:
    """One whose bytes are to be deleted, and no batch reads any more; nobody else gets it until the
    transaction ends."""
    return tx.value(
        "SELECT id FROM unowned_blobs WHERE due_at <= now()"
        " AND NOT EXISTS (SELECT FROM batches WHERE input_file_id = unowned_blobs.id"
        " AND NOT is_settled) ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED"
    )


def forget_blob(tx: Transaction, blob_id: str) -> None:
    """Its bytes are deleted."""
    tx.execute("DELETE FROM unowned_blobs WHERE id = %(id)s", {"id": blob_id})


def postpone_blob(tx: Transaction, blob_id: str) -> None:
    """Its bytes could not be deleted now."""
    tx.execute(
        "UPDATE unowned_blobs SET due_at = now() + interval '1 minute' WHERE id = %(id)s",
        {"id": blob_id},
    )


def _disown(tx: Transaction, ids: list[str]) -> None:
    """From all vector stores too."""
    tx.execute("SELECT FROM files WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE", {"ids": ids})
    vector_store_files.remove_everywhere(tx, ids)
    tx.execute(
        "WITH gone AS (DELETE FROM files WHERE id = ANY(%(ids)s) RETURNING id)"
        " INSERT INTO unowned_blobs (id, due_at) SELECT id, now() FROM gone",
        {"ids": ids},
    )


def _not_found(file_id: str) -> NotFound:
    return NotFound(f"No such File object: {file_id}", param="id")
