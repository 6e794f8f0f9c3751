"""The state machine of a batch: what may follow what.

validating ──► in_progress ──► finalizing ──► completed | expired
  │    │  │         │              ▲
  │    │  └─────────│──────────────┘  its time is over
  │    └──────► cancelling ──► cancelled
  └──► failed
"""

from enum import StrEnum


class BatchStatus(StrEnum):
    VALIDATING = "validating"  # its lines are read
    FAILED = "failed"  # a line is none, or there is none
    IN_PROGRESS = "in_progress"  # its lines become runs
    FINALIZING = "finalizing"  # its files are written, after its last runs have stopped
    COMPLETED = "completed"
    EXPIRED = "expired"  # with what was answered in time
    CANCELLING = "cancelling"  # its runs are cancelled, then its files are written
    CANCELLED = "cancelled"


S = BatchStatus

NEXT: dict[BatchStatus, frozenset[BatchStatus]] = {
    S.VALIDATING: frozenset({S.IN_PROGRESS, S.FAILED, S.FINALIZING, S.CANCELLING}),
    S.IN_PROGRESS: frozenset({S.FINALIZING, S.CANCELLING}),
    S.FINALIZING: frozenset({S.COMPLETED, S.EXPIRED}),
    S.CANCELLING: frozenset({S.CANCELLED}),
    S.FAILED: frozenset(),
    S.COMPLETED: frozenset(),
    S.EXPIRED: frozenset(),
    S.CANCELLED: frozenset(),
}

ENDED = frozenset(status for status, following in NEXT.items() if not following)


def before(status: BatchStatus) -> list[str]:
    """The statuses that may become this one: the guard of the UPDATE that writes it."""
    return [earlier.value for earlier, following in NEXT.items() if status in following]
