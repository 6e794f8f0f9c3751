"""Batches: the wire's object, and how one is taken for its next step. Its status is changed in
`batch_transitions` only.

Whoever wants to do something for a batch takes one whose step is due, and holds its row until the
step is committed; only the writer of its files works without holding it, under a fence.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Json

from shared.batch_state import BatchStatus
from shared.db import Transaction
from shared.errors import LeaseLost, NotFound
from shared.ids import is_wellformed, new_id
from shared.store import pages
from shared.store.pages import Page, PageRequest

COLUMNS = (
    "id, project_id, created_at, expires_at, endpoint, completion_window, input_file_id, metadata,"
    " output_life_seconds, status, model, errors, output_file_id, error_file_id, in_progress_at,"
    " finalizing_at, completed_at, failed_at, expired_at, cancelling_at, cancelled_at, total,"
    " completed, failed, input_tokens, cached_tokens, output_tokens, reasoning_tokens,"
    " most_at_once, read_bytes, read_lines, is_overdue, fence,"
    " expires_at <= clock_timestamp() AS is_over"
)
_SELECT = "SELECT " + COLUMNS + " FROM batches WHERE project_id = %(project_id)s"


@dataclass(frozen=True, kw_only=True)
class NewBatch:
    endpoint: str
    completion_window: str
    input_file_id: str
    metadata: dict[str, str]
    output_life_seconds: int | None = None  # None: until they are deleted


@dataclass(frozen=True, kw_only=True)
class Batch(NewBatch):
    id: str
    project_id: str
    created_at: datetime
    expires_at: datetime
    status: BatchStatus
    model: str | None
    errors: list[dict[str, Any]] | None
    output_file_id: str | None
    error_file_id: str | None
    in_progress_at: datetime | None
    finalizing_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    expired_at: datetime | None
    cancelling_at: datetime | None
    cancelled_at: datetime | None
    total: int
    completed: int
    failed: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    most_at_once: int
    read_bytes: int
    read_lines: int
    is_overdue: bool
    fence: int
    is_over: bool  # its time, by the database's clock

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", BatchStatus(self.status))


@dataclass
class Counts:
    """Of lines that have ended."""

    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def add_usage(self, usage: dict[str, Any] | None) -> None:
        """A run's, as the wire shows it."""
        if usage:
            self.input_tokens += usage["prompt_tokens"]
            self.cached_tokens += usage["prompt_token_details"]["cached_tokens"]
            self.output_tokens += usage["completion_tokens"]
            self.reasoning_tokens += usage["completion_tokens_details"]["reasoning_tokens"]


def create(
    tx: Transaction, project_id: str, new: NewBatch, life_seconds: int, most_at_once: int
) -> Batch:
    batch = tx.one(
        Batch,
        "INSERT INTO batches (id, project_id, endpoint, completion_window, input_file_id, metadata,"
        " output_life_seconds, most_at_once, expires_at) VALUES (%(id)s, %(project_id)s,"
        " %(endpoint)s, %(completion_window)s, %(input_file_id)s, %(metadata)s,"
        " %(output_life_seconds)s, %(most_at_once)s,"
        " clock_timestamp() + make_interval(secs => %(life_seconds)s)) RETURNING " + COLUMNS,
        {
            **vars(new),
            "metadata": Json(new.metadata),
            "id": new_id("batch"),
            "project_id": project_id,
            "life_seconds": life_seconds,
            "most_at_once": most_at_once,
        },
    )
    assert batch is not None
    return batch


def get(tx: Transaction, project_id: str, batch_id: str) -> Batch:
    return _found(tx, _SELECT + " AND id = %(id)s", project_id, batch_id)


def lock(tx: Transaction, project_id: str, batch_id: str) -> Batch:
    """As `get`; until the transaction ends nobody else changes it."""
    return _found(tx, _SELECT + " AND id = %(id)s FOR NO KEY UPDATE", project_id, batch_id)


def list_page(tx: Transaction, project_id: str, request: PageRequest) -> Page[Batch]:
    return pages.read(
        tx,
        Batch,
        request,
        select=_SELECT,
        cursor="SELECT sequence FROM batches WHERE project_id = %(project_id)s AND id = %(cursor)s",
        parameters={"project_id": project_id},
    )


def take(tx: Transaction) -> Batch | None:
    """One whose step is due, the longest first; nobody else gets it until the transaction ends."""
    return tx.one(
        Batch,
        "SELECT " + COLUMNS + " FROM batches WHERE NOT is_settled"
        " AND step_at <= now() ORDER BY step_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED",
    )


def rest(tx: Transaction, batch: Batch, seconds: float) -> None:
    """Until its next step."""
    tx.execute(
        "UPDATE batches SET step_at = clock_timestamp() + make_interval(secs => %(seconds)s)"
        " WHERE id = %(id)s",
        {"id": batch.id, "seconds": seconds},
    )


def note_read(
    tx: Transaction,
    batch: Batch,
    read_bytes: int,
    read_lines: int,
    errors: list[dict[str, Any]],
    model: str | None,
) -> None:
    """How far its file is read, and what was found wrong so far."""
    tx.execute(
        "UPDATE batches SET read_bytes = %(read_bytes)s, read_lines = %(read_lines)s,"
        " errors = %(errors)s, model = coalesce(model, %(model)s) WHERE id = %(id)s",
        {
            "id": batch.id,
            "read_bytes": read_bytes,
            "read_lines": read_lines,
            "errors": Json(errors) if errors else None,
            "model": model,
        },
    )


def count(tx: Transaction, batch: Batch, more: Counts) -> None:
    tx.execute(
        "UPDATE batches SET completed = completed + %(completed)s, failed = failed + %(failed)s,"
        " input_tokens = input_tokens + %(input_tokens)s,"
        " cached_tokens = cached_tokens + %(cached_tokens)s,"
        " output_tokens = output_tokens + %(output_tokens)s,"
        " reasoning_tokens = reasoning_tokens + %(reasoning_tokens)s WHERE id = %(id)s",
        {"id": batch.id, **vars(more)},
    )


def lease(tx: Transaction, batch: Batch, seconds: float) -> int:
    """The fence of who writes its files; for so long nobody else begins to."""
    return int(
        tx.value(
            "UPDATE batches SET fence = fence + 1,"
            " step_at = clock_timestamp() + make_interval(secs => %(seconds)s)"
            " WHERE id = %(id)s RETURNING fence",
            {"id": batch.id, "seconds": seconds},
        )
    )


def renew(tx: Transaction, batch: Batch, fence: int, seconds: float) -> None:
    """Raises LeaseLost."""
    renewed = tx.execute(
        "UPDATE batches SET step_at = clock_timestamp() + make_interval(secs => %(seconds)s)"
        " WHERE id = %(id)s AND fence = %(fence)s",
        {"id": batch.id, "fence": fence, "seconds": seconds},
    )
    if not renewed:
        raise LeaseLost(batch.id)


def settle(tx: Transaction, batch: Batch) -> None:
    """There is nothing left to do for it."""
    tx.execute("UPDATE batches SET is_settled = TRUE WHERE id = %(id)s", {"id": batch.id})


def _found(tx: Transaction, query: LiteralString, project_id: str, batch_id: str) -> Batch:
    batch = None
    if is_wellformed(batch_id):
        batch = tx.one(Batch, query, {"project_id": project_id, "id": batch_id})
    if batch is None:
        raise NotFound(f"No batch found with id '{batch_id}'.")
    return batch
