"""Changes of a batch's status: every one passes `_change`, which guards it by batch_state."""

import logging
from typing import Any, LiteralString

from psycopg.types.json import Json

from shared.batch_state import ENDED, BatchStatus, before
from shared.db import Transaction
from shared.errors import Conflict, LeaseLost
from shared.store import batches
from shared.store.batches import COLUMNS, Batch

log = logging.getLogger(__name__)


def cancel(tx: Transaction, project_id: str, batch_id: str) -> Batch:
    """Asks for the end. Raises Conflict for a batch that has it, or writes its files already."""
    batch = batches.lock(tx, project_id, batch_id)
    if batch.status is BatchStatus.CANCELLING:
        return batch
    cancelling = _change(
        tx,
        batch,
        BatchStatus.CANCELLING,
        "cancelling_at = now(), errors = NULL,"
        " total = (SELECT count(*) FROM batch_lines WHERE batch_id = %(id)s)",
    )
    if cancelling is None:
        raise Conflict(f"Cannot cancel batch with status '{batch.status}'.")
    return cancelling


def begin(tx: Transaction, batch: Batch) -> None:
    """Its lines are read and good."""
    _change(
        tx,
        batch,
        BatchStatus.IN_PROGRESS,
        "in_progress_at = now(),"
        " total = (SELECT count(*) FROM batch_lines WHERE batch_id = %(id)s)",
    )


def fail(tx: Transaction, batch: Batch, errors: list[dict[str, Any]]) -> None:
    change = "failed_at = now(), errors = %(errors)s"
    _change(tx, batch, BatchStatus.FAILED, change, {"errors": Json(errors)})


def finalize(tx: Transaction, batch: Batch, *, is_overdue: bool) -> Batch:
    """No more runs are begun. What was found wrong with lines so far is not told: it was not all
    read."""
    finalizing = _change(
        tx,
        batch,
        BatchStatus.FINALIZING,
        "finalizing_at = now(), is_overdue = %(is_overdue)s, errors = NULL,"
        " total = (SELECT count(*) FROM batch_lines WHERE batch_id = %(id)s)",
        {"is_overdue": is_overdue},
    )
    assert finalizing is not None
    return finalizing


def end(
    tx: Transaction, batch: Batch, fence: int, output_file_id: str | None, error_file_id: str | None
) -> None:
    """Its files are written. What was not completed has failed. Raises LeaseLost."""
    to = BatchStatus.EXPIRED if batch.is_overdue else BatchStatus.COMPLETED
    if batch.status is BatchStatus.CANCELLING:
        to = BatchStatus.CANCELLED
    ended = _change(
        tx,
        batch,
        to,
        "completed_at = CASE %(to)s WHEN 'completed' THEN now() END,"
        " expired_at = CASE %(to)s WHEN 'expired' THEN now() END,"
        " cancelled_at = CASE %(to)s WHEN 'cancelled' THEN now() END,"
        " output_file_id = %(output_file_id)s, error_file_id = %(error_file_id)s,"
        " failed = total - completed",
        {"output_file_id": output_file_id, "error_file_id": error_file_id},
        fence=fence,
    )
    if ended is None:
        raise LeaseLost(batch.id)


def _change(
    tx: Transaction,
    batch: Batch,
    to: BatchStatus,
    change: LiteralString,
    parameters: dict[str, Any] | None = None,
    *,
    fence: int | None = None,
) -> Batch | None:
    """None where its status, or the fence, does not allow it. The next step is due at once."""
    changed = tx.one(
        Batch,
        "UPDATE batches SET status = %(to)s, step_at = clock_timestamp(), " + change + " WHERE"
        " id = %(id)s AND status = ANY(%(before)s)"
        " AND (%(fence)s::bigint IS NULL OR fence = %(fence)s) RETURNING " + COLUMNS,
        {
            **(parameters or {}),
            "id": batch.id,
            "to": to.value,
            "before": before(to),
            "fence": fence,
        },
    )
    if changed is not None and to in ENDED:
        tx.after_commit(_log_end, changed)
    return changed


def _log_end(batch: Batch) -> None:
    log.info(
        "batch",
        extra={
            "batch_id": batch.id,
            "project_id": batch.project_id,
            "status": batch.status.value,
            "total": batch.total,
            "completed": batch.completed,
            "failed": batch.failed,
        },
    )
