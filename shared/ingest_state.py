"""The state machine of a file in a vector store: what may follow what.

in_progress ──► completed | failed | cancelled

A file that loses its worker, or waits for the model server, stays `in_progress` until the next
claim. Put into its store again, an ended one begins anew as another ingestion.
"""

from enum import StrEnum


class IngestStatus(StrEnum):
    IN_PROGRESS = "in_progress"  # waits for a worker, or is worked on
    COMPLETED = "completed"  # can be searched
    FAILED = "failed"
    CANCELLED = "cancelled"  # with the batch that it came in


S = IngestStatus

NEXT: dict[IngestStatus, frozenset[IngestStatus]] = {
    S.IN_PROGRESS: frozenset({S.IN_PROGRESS, S.COMPLETED, S.FAILED, S.CANCELLED}),
    S.COMPLETED: frozenset(),
    S.FAILED: frozenset(),
    S.CANCELLED: frozenset(),
}


def before(status: IngestStatus) -> list[str]:
    """The statuses that may become this one: the guard of the UPDATE that writes it."""
    return [earlier.value for earlier, following in NEXT.items() if status in following]
