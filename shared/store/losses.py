"""What the sweep does to runs that nobody looks after: each statement stands by itself."""

from typing import Any

from psycopg.types.json import Json

from shared.db import Transaction
from shared.run_state import RunStatus
from shared.store import transitions
from shared.store.runs import ACTIVE, COLUMNS, Run

# Lost leases until a run counts as poison: it may be the run that kills its workers.
MOST_LAPSES = 3


def release_lost(tx: Transaction, most: int) -> list[Run]:
    """Takes the runs of lost workers from them and charges each run one lapse."""
    return transitions.change(
        tx,
        Run,
        RunStatus.IN_PROGRESS,
        "WITH lost AS (SELECT runs.id FROM runs JOIN workers ON workers.id = worker_id"
        " WHERE lost_at IS NOT NULL AND lapses + 1 < %(most_lapses)s LIMIT %(most)s"
        " FOR UPDATE OF runs SKIP LOCKED)"
        " UPDATE runs SET worker_id = NULL, lapses = lapses + 1 FROM lost"
        " WHERE runs.id = lost.id AND status = ANY(%(before)s) RETURNING " + COLUMNS,
        {"most": most, "most_lapses": MOST_LAPSES},
    )


def fail_poisonous(tx: Transaction, most: int, usage: dict[str, Any]) -> list[Run]:
    """Ends the runs of lost workers that have lost too many."""
    message = f"The worker was lost {MOST_LAPSES} times while it worked on this run."
    return transitions.change(
        tx,
        Run,
        RunStatus.FAILED,
        "WITH lost AS (SELECT runs.id FROM runs JOIN workers ON workers.id = worker_id"
        " WHERE lost_at IS NOT NULL AND lapses + 1 >= %(most_lapses)s LIMIT %(most)s"
        " FOR UPDATE OF runs SKIP LOCKED)"
        " UPDATE runs SET status = 'failed', failed_at = now(), worker_id = NULL,"
        " lapses = lapses + 1, last_error = %(error)s, usage = coalesce(usage, %(usage)s)"
        " FROM lost WHERE runs.id = lost.id AND status = ANY(%(before)s) RETURNING " + COLUMNS,
        {
            "most": most,
            "most_lapses": MOST_LAPSES,
            "error": Json({"code": "server_error", "message": message}),
            "usage": Json(usage),
        },
    )


def expire(tx: Transaction, most: int) -> list[Run]:
    """Ends runs whose time is over, whoever holds them."""
    return transitions.change(
        tx,
        Run,
        RunStatus.EXPIRED,
        "WITH overdue AS (SELECT id FROM runs WHERE "
        + ACTIVE
        + " AND expires_at <= now() ORDER BY expires_at LIMIT %(most)s FOR UPDATE SKIP LOCKED)"
        " UPDATE runs SET status = 'expired', worker_id = NULL, required_action = NULL"
        " FROM overdue WHERE runs.id = overdue.id AND status = ANY(%(before)s)"
        " RETURNING " + COLUMNS,
        {"most": most},
    )


def end_cancelled(tx: Transaction, most: int) -> list[Run]:
    """Ends what was cancelled and has no living owner to end it."""
    return transitions.change(
        tx,
        Run,
        RunStatus.CANCELLED,
        "WITH unowned AS (SELECT runs.id FROM runs LEFT JOIN workers ON workers.id = worker_id"
        " WHERE status = 'cancelling' AND (worker_id IS NULL OR lost_at IS NOT NULL)"
        " LIMIT %(most)s FOR UPDATE OF runs SKIP LOCKED)"
        " UPDATE runs SET status = 'cancelled', cancelled_at = now(), worker_id = NULL"
        " FROM unowned WHERE runs.id = unowned.id AND status = ANY(%(before)s)"
        " RETURNING " + COLUMNS,
        {"most": most},
    )
