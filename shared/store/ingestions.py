"""The work on files in vector stores: every change of a file's status passes `_change`, which
guards it by ingest_state. A worker's writes carry the fence of its claim: after a takeover, or when
the file is gone, they find no row, and `LeaseLost` says so.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, LiteralString, TypeVar

from psycopg.types.json import Json

from shared import queue
from shared.db import Transaction
from shared.embeddings import Vector
from shared.errors import LeaseLost
from shared.ingest_state import IngestStatus, before
from shared.store import chunks
from shared.store.chunks import Piece
from shared.store.losses import MOST_LAPSES

_HELD = " WHERE sequence = %(sequence)s AND fence = %(fence)s AND worker_id IS NOT NULL"


@dataclass(frozen=True, kw_only=True)
class Ingestion:
    """A file in a store that a worker holds."""

    sequence: int
    project_id: str
    vector_store_id: str
    file_id: str
    filename: str
    max_chunk_size_tokens: int
    chunk_overlap_tokens: int
    fence: int
    failures: int


@dataclass(frozen=True)
class _Changed:
    sequence: int


R = TypeVar("R", Ingestion, _Changed)


def claim(tx: Transaction, worker_id: str, since: str, model: str = "") -> Ingestion | None:
    """The next file that waits becomes this worker's, under a new fence: the oldest of the project
    that comes after `since`, so that whoever claims on takes one of each project in turn. None
    while the model for vectors is to be left alone."""
    for after in (since, ""):
        claimed = _change(
            tx,
            Ingestion,
            IngestStatus.IN_PROGRESS,
            "WITH next AS (SELECT sequence FROM vector_store_files WHERE status = 'in_progress'"
            " AND worker_id IS NULL AND ingest_after <= now() AND project_id > %(after)s"
            " AND NOT EXISTS (SELECT FROM model_pauses WHERE model = %(model)s AND until > now())"
            " ORDER BY project_id, sequence LIMIT 1 FOR UPDATE SKIP LOCKED)"
            " UPDATE vector_store_files AS held SET worker_id = %(worker_id)s, fence = fence + 1"
            " FROM next, files WHERE held.sequence = next.sequence AND files.id = held.file_id"
            " AND status = ANY(%(before)s) AND EXISTS"
            " (SELECT FROM workers WHERE workers.id = %(worker_id)s AND lost_at IS NULL)"
            " RETURNING held.sequence, held.project_id, vector_store_id, file_id, filename,"
            " max_chunk_size_tokens, chunk_overlap_tokens, fence, failures",
            {"worker_id": worker_id, "after": after, "model": model},
        )
        if claimed:
            return claimed[0]
    return None


def kept(tx: Transaction, held: Ingestion, pieces: Sequence[Piece], model: str) -> int:
    """How many of the file's chunks are there already, from the beginning on, as an earlier claim
    left them. All are deleted if they were cut otherwise or have another model's vectors."""
    last = chunks.last_of(tx, held.sequence)
    if last is None:
        return 0
    goes_on = last.model == model and last.number + 1 < len(pieces)
    if goes_on and pieces[last.number].text == last.text:
        return last.number + 1
    require_held(tx, held)
    chunks.delete(tx, held.sequence)
    return 0


def add(
    tx: Transaction,
    held: Ingestion,
    first: int,
    pieces: Sequence[Piece],
    vectors: Sequence[Vector],
    model: str,
) -> None:
    """Chunks from number `first` on, which nobody finds before `complete`. What is there already
    stays. The row is written last, so that it is locked for a moment only."""
    chunks.insert(tx, held.sequence, held.vector_store_id, first, pieces, vectors)
    query: LiteralString = "UPDATE vector_store_files SET embedding_model = %(model)s" + _HELD
    if not tx.execute(query, {**_lease(held), "model": model}):
        raise _lost(held)


def complete(
    tx: Transaction,
    held: Ingestion,
    pieces: Sequence[Piece],
    vectors: Sequence[Vector],
    model: str | None,
    usage_bytes: int,
    first: int = 0,
) -> None:
    """With its chunks from number `first` on; `vectors` has one of each piece, made by `model`, or
    none at all. The row is written last, as in `add`."""
    require_held(tx, held)
    chunks.insert(tx, held.sequence, held.vector_store_id, first, pieces, vectors)
    _held_by(
        held,
        _change(
            tx,
            _Changed,
            IngestStatus.COMPLETED,
            "UPDATE vector_store_files SET status = 'completed', worker_id = NULL,"
            " usage_bytes = %(usage_bytes)s, embedding_model = %(model)s"
            + _HELD
            + " AND status = ANY(%(before)s) RETURNING sequence",
            {**_lease(held), "usage_bytes": usage_bytes, "model": model},
        ),
    )


def fail(tx: Transaction, held: Ingestion, code: str, message: str) -> None:
    _held_by(
        held,
        _change(
            tx,
            _Changed,
            IngestStatus.FAILED,
            "UPDATE vector_store_files SET status = 'failed', worker_id = NULL,"
            " last_error = %(error)s" + _HELD + " AND status = ANY(%(before)s) RETURNING sequence",
            {**_lease(held), "error": Json({"code": code, "message": message})},
        ),
    )


def retry_later(tx: Transaction, held: Ingestion, delay_seconds: float, failures: int = 1) -> None:
    """Frees the worker for that long."""
    _held_by(
        held,
        _change(
            tx,
            _Changed,
            IngestStatus.IN_PROGRESS,
            "UPDATE vector_store_files SET worker_id = NULL, failures = failures + %(failures)s,"
            " ingest_after = now() + make_interval(secs => %(delay_seconds)s)"
            + _HELD
            + " AND status = ANY(%(before)s) RETURNING sequence",
            {**_lease(held), "delay_seconds": delay_seconds, "failures": failures},
        ),
    )


def release(tx: Transaction, worker_id: str, but: Sequence[int] = ()) -> int:
    """A worker gives back what it holds; others take over at once."""
    released = _change(
        tx,
        _Changed,
        IngestStatus.IN_PROGRESS,
        "UPDATE vector_store_files SET worker_id = NULL WHERE worker_id = %(worker_id)s"
        " AND sequence <> ALL(%(but)s) AND status = ANY(%(before)s) RETURNING sequence",
        {"worker_id": worker_id, "but": list(but)},
    )
    return len(released)


def release_lost(tx: Transaction, most: int) -> int:
    """Takes the files of lost workers from them and charges each one lapse."""
    released = _change(
        tx,
        _Changed,
        IngestStatus.IN_PROGRESS,
        "UPDATE vector_store_files SET worker_id = NULL, lapses = lapses + 1 WHERE sequence IN ("
        + _LOST
        + " AND lapses + 1 < %(most_lapses)s LIMIT %(most)s FOR UPDATE OF held SKIP LOCKED)"
        " AND status = ANY(%(before)s) RETURNING sequence",
        {"most": most, "most_lapses": MOST_LAPSES},
    )
    return len(released)


def fail_poisonous(tx: Transaction, most: int) -> int:
    """Ends the files of lost workers that have lost too many."""
    message = f"The worker was lost {MOST_LAPSES} times while it read this file."
    failed = _change(
        tx,
        _Changed,
        IngestStatus.FAILED,
        "UPDATE vector_store_files SET status = 'failed', worker_id = NULL, lapses = lapses + 1,"
        " last_error = %(error)s WHERE sequence IN ("
        + _LOST
        + " AND lapses + 1 >= %(most_lapses)s LIMIT %(most)s FOR UPDATE OF held SKIP LOCKED)"
        " AND status = ANY(%(before)s) RETURNING sequence",
        {
            "most": most,
            "most_lapses": MOST_LAPSES,
            "error": Json({"code": "server_error", "message": message}),
        },
    )
    return len(failed)


_LOST: LiteralString = (
    "SELECT held.sequence FROM vector_store_files AS held JOIN workers ON workers.id = worker_id"
    " WHERE lost_at IS NOT NULL"
)


def cancel(tx: Transaction, batch_id: str) -> int:
    """Ends what is in progress of a batch; how many were. Who works on one finds its fence gone."""
    cancelled = _change(
        tx,
        _Changed,
        IngestStatus.CANCELLED,
        "UPDATE vector_store_files SET status = 'cancelled', worker_id = NULL, fence = fence + 1"
        " WHERE sequence IN (SELECT ingestion FROM vector_store_batch_files"
        " WHERE batch_id = %(batch_id)s) AND status = 'in_progress' AND status = ANY(%(before)s)"
        " RETURNING sequence",
        {"batch_id": batch_id},
    )
    return len(cancelled)


def end_expired(tx: Transaction, most: int) -> int:
    """Of stores that are over: what is in progress is cancelled, and what was made is deleted next.
    How many stores."""
    store_ids = tx.values(
        "UPDATE vector_stores SET is_cleared = TRUE WHERE id IN (SELECT id FROM vector_stores"
        " WHERE expires_at <= now() AND NOT is_cleared ORDER BY expires_at LIMIT %(most)s"
        " FOR NO KEY UPDATE SKIP LOCKED) RETURNING id",
        {"most": most},
    )
    if store_ids:
        _change(
            tx,
            _Changed,
            IngestStatus.CANCELLED,
            "UPDATE vector_store_files SET status = 'cancelled', worker_id = NULL,"
            " fence = fence + 1 WHERE vector_store_id = ANY(%(store_ids)s)"
            " AND status = 'in_progress' AND status = ANY(%(before)s) RETURNING sequence",
            {"store_ids": store_ids},
        )
        tx.execute(
            "WITH emptied AS (UPDATE vector_store_files SET usage_bytes = 0"
            " WHERE vector_store_id = ANY(%(store_ids)s) AND usage_bytes > 0 RETURNING sequence)"
            " INSERT INTO unowned_chunks (ingestion) SELECT sequence FROM emptied"
            " ON CONFLICT DO NOTHING",
            {"store_ids": store_ids},
        )
    return len(store_ids)


def _change(
    tx: Transaction,
    row: type[R],
    to: IngestStatus,
    query: LiteralString,
    parameters: dict[str, Any],
) -> list[R]:
    """`query` guards itself by `status = ANY(%(before)s)` and returns sequences. A run may wait for
    the end of a file; what was made of one that is not completed is nobody's."""
    is_vain = to in (IngestStatus.FAILED, IngestStatus.CANCELLED)
    with tx.atomic() if is_vain else nullcontext():
        changed = tx.all(row, query, {**parameters, "before": before(to)})
        if changed and is_vain:
            chunks.disown(tx, [one.sequence for one in changed])
    if changed and to is not IngestStatus.IN_PROGRESS:
        tx.after_commit(queue.ring)
    return changed


def require_held(tx: Transaction, held: Ingestion) -> None:
    """Raises LeaseLost."""
    if not tx.value("SELECT TRUE FROM vector_store_files" + _HELD, _lease(held)):
        raise _lost(held)


def _lease(held: Ingestion) -> dict[str, Any]:
    return {"sequence": held.sequence, "fence": held.fence}


def _held_by(held: Ingestion, changed: list[_Changed]) -> None:
    if not changed:
        raise _lost(held)


def _lost(held: Ingestion) -> LeaseLost:
    return LeaseLost(f"{held.file_id} is no longer held under fence {held.fence}")
