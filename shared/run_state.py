"""The state machine of a run: what may follow what. Nothing else in Treadle knows it.

    queued ──► in_progress ──► completed | incomplete | failed | expired
      ▲  │        │    │
      │  │        │    └───────┐
      │  │        ▼            ▼
      │  │   requires_action ─► cancelling ──► cancelled (or the end it reached meanwhile)
      │  │        │            ▲
      └──┼────────┘            │  submit_tool_outputs queues again
         └─────────────────────┘  queued, too, may fail or expire

A run that loses its worker, or waits out a rate limit, stays `in_progress` until the next claim.
"""

from enum import StrEnum


class RunStatus(StrEnum):
    QUEUED = "queued"  # waits for a worker
    IN_PROGRESS = "in_progress"  # claimed, or waiting for the next claim after a lost one
    REQUIRES_ACTION = "requires_action"  # waits for the caller's tool outputs; no worker holds it
    CANCELLING = "cancelling"  # cancel was asked; its owner (or the sweep) ends it
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"  # ended by a token limit, with a partial answer
    FAILED = "failed"
    EXPIRED = "expired"


S = RunStatus

NEXT: dict[RunStatus, frozenset[RunStatus]] = {
    S.QUEUED: frozenset({S.IN_PROGRESS, S.CANCELLING, S.FAILED, S.EXPIRED}),
    S.IN_PROGRESS: frozenset(
        {
            S.IN_PROGRESS,
            S.REQUIRES_ACTION,
            S.CANCELLING,
            S.COMPLETED,
            S.INCOMPLETE,
            S.FAILED,
            S.EXPIRED,
        }
    ),
    S.REQUIRES_ACTION: frozenset({S.QUEUED, S.CANCELLING, S.EXPIRED}),
    S.CANCELLING: frozenset({S.CANCELLED, S.COMPLETED, S.INCOMPLETE, S.FAILED, S.EXPIRED}),
    S.CANCELLED: frozenset(),
    S.COMPLETED: frozenset(),
    S.INCOMPLETE: frozenset(),
    S.FAILED: frozenset(),
    S.EXPIRED: frozenset(),
}

TERMINAL = frozenset(status for status, following in NEXT.items() if not following)
ACTIVE = frozenset(RunStatus) - TERMINAL  # the thread is locked
STOPPED = TERMINAL | {S.REQUIRES_ACTION}  # nothing more happens until the caller acts


def before(status: RunStatus) -> list[str]:
    """The statuses that may become this one: the guard of the UPDATE that writes it."""
    return [earlier.value for earlier, following in NEXT.items() if status in following]
