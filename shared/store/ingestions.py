"""The work on files in vector stores: every change of a file's status passes `_change`, which
guards it by ingest_state."""

from typing import Any, LiteralString

from shared.db import Transaction
from shared.ingest_state import IngestStatus, before


def cancel(tx: Transaction, batch_id: str) -> int:
    """Ends what is in progress of a batch; how many were. Who works on one finds its fence gone."""
    return _change(
        tx,
        IngestStatus.CANCELLED,
        "worker_id = NULL, fence = fence + 1",
        "sequence IN (SELECT ingestion FROM vector_store_batch_files"
        " WHERE batch_id = %(batch_id)s)",
        {"batch_id": batch_id},
    )


def _change(
    tx: Transaction,
    to: IngestStatus,
    change: LiteralString,
    condition: LiteralString,
    parameters: dict[str, Any],
) -> int:
    return tx.execute(
        "UPDATE vector_store_files SET status = %(to)s, "
        + change
        + " WHERE "
        + condition
        + " AND status = ANY(%(before)s)",
        {**parameters, "to": to.value, "before": before(to)},
    )
