"""Changes of a run's status: the only SQL that writes it. One verb per change, each guarded by
run_state.

A worker's writes carry the fence of its claim: after a takeover they find no row, and `LeaseLost`
says so. Every change passes `_change`, which schedules what it implies after the commit.
"""

from collections.abc import Sequence
from typing import Any, LiteralString, TypeVar

from psycopg.types.json import Json

from shared import events, queue
from shared.db import Transaction
from shared.errors import Conflict, LeaseLost
from shared.ids import new_id
from shared.run_state import STOPPED, RunStatus, before
from shared.store.runs import CLAIMABLE, COLUMNS, OPTIONS, ClaimedRun, Run, RunOptions, active_on

# Lost leases until a run counts as poison: it may be the run that kills its workers.
MOST_LAPSES = 3

_HELD = " WHERE runs.id = %(id)s AND fence = %(fence)s AND status = ANY(%(before)s)"
_JSON = frozenset(
    {"tools", "tool_resources", "metadata", "truncation_strategy", "tool_choice", "response_format"}
)

R = TypeVar("R", bound=Run)


def create(
    tx: Transaction,
    project_id: str,
    thread_id: str,
    assistant_id: str,
    options: RunOptions,
    life_seconds: int,
) -> Run:
    """The thread must be locked. Raises Conflict while another run of it is active."""
    active = active_on(tx, thread_id)
    if active is not None:
        raise Conflict(f"Thread {thread_id} already has an active run {active}.")
    values = {
        name: Json(value) if name in _JSON else value for name, value in vars(options).items()
    }
    created = _change(
        tx,
        Run,
        RunStatus.QUEUED,
        "INSERT INTO runs (id, project_id, thread_id, assistant_id, expires_at, "
        + OPTIONS
        + ") VALUES (%(id)s, %(project_id)s, %(thread_id)s, %(assistant_id)s,"
        " clock_timestamp() + make_interval(secs => %(life_seconds)s), %(model)s, %(instructions)s,"
        " %(tools)s, %(tool_resources)s, %(metadata)s, %(temperature)s, %(top_p)s,"
        " %(max_prompt_tokens)s, %(max_completion_tokens)s, %(truncation_strategy)s,"
        " %(tool_choice)s, %(parallel_tool_calls)s, %(response_format)s, %(reasoning_effort)s)"
        " RETURNING " + COLUMNS,
        {
            **values,
            "id": new_id("run"),
            "project_id": project_id,
            "thread_id": thread_id,
            "assistant_id": assistant_id,
            "life_seconds": life_seconds,
        },
    )
    return created[0]


def claim(tx: Transaction, worker_id: str) -> ClaimedRun | None:
    """The next run that waits for a worker becomes this worker's, under a new fence."""
    claimed = _change(
        tx,
        ClaimedRun,
        RunStatus.IN_PROGRESS,
        "WITH next AS (SELECT id FROM runs WHERE "
        + CLAIMABLE
        + " ORDER BY run_after LIMIT 1 FOR UPDATE SKIP LOCKED)"
        " UPDATE runs SET status = 'in_progress', worker_id = %(worker_id)s, fence = fence + 1,"
        " started_at = CASE status WHEN 'queued' THEN now() ELSE started_at END"
        " FROM next WHERE runs.id = next.id AND status = ANY(%(before)s)"
        " AND EXISTS (SELECT FROM workers WHERE workers.id = %(worker_id)s AND lost_at IS NULL)"
        " RETURNING "
        + COLUMNS
        + ", extract(epoch FROM expires_at - now())::float8 AS seconds_left",
        {"worker_id": worker_id},
    )
    return claimed[0] if claimed else None


def finish(tx: Transaction, run: Run, to: RunStatus, usage: dict[str, Any]) -> Run:
    """`to` is completed, or incomplete for an answer that a token limit cut short. The answer's
    message and step belong into the same transaction.

    The thread is locked before the run, as its deletion does: else the two could wait for each
    other.
    """
    details = {"reason": "max_completion_tokens"} if to is RunStatus.INCOMPLETE else None
    return _held_by(
        run,
        _change(
            tx,
            Run,
            to,
            "WITH thread AS (SELECT id FROM threads WHERE id = %(thread_id)s FOR KEY SHARE)"
            " UPDATE runs SET status = %(to)s, completed_at = now(), worker_id = NULL,"
            " usage = %(usage)s, incomplete_details = %(details)s FROM thread"
            + _HELD
            + " AND thread.id = thread_id RETURNING "
            + COLUMNS,
            {
                **_lease(run),
                "to": to.value,
                "thread_id": run.thread_id,
                "usage": Json(usage),
                "details": Json(details) if details else None,
            },
        ),
    )


def fail(tx: Transaction, run: Run, code: str, message: str, usage: dict[str, Any]) -> Run:
    return _held_by(
        run,
        _change(
            tx,
            Run,
            RunStatus.FAILED,
            "UPDATE runs SET status = 'failed', failed_at = now(), worker_id = NULL,"
            " last_error = %(error)s, usage = coalesce(usage, %(usage)s)"
            + _HELD
            + " RETURNING "
            + COLUMNS,
            {
                **_lease(run),
                "error": Json({"code": code, "message": message}),
                "usage": Json(usage),
            },
        ),
    )


def retry_later(tx: Transaction, run: Run, delay_seconds: float) -> Run:
    """Frees the worker while the model server wants to be left alone. Still `in_progress`."""
    return _held_by(
        run,
        _change(
            tx,
            Run,
            RunStatus.IN_PROGRESS,
            "UPDATE runs SET worker_id = NULL, model_failures = model_failures + 1,"
            " run_after = now() + make_interval(secs => %(delay_seconds)s)"
            + _HELD
            + " AND status = 'in_progress' RETURNING "
            + COLUMNS,
            {**_lease(run), "delay_seconds": delay_seconds},
        ),
    )


def release(tx: Transaction, worker_id: str, run_ids: Sequence[str] | None = None) -> list[Run]:
    """A worker gives back these runs, or all that it holds; others take over at once."""
    released = _change(
        tx,
        Run,
        RunStatus.IN_PROGRESS,
        "UPDATE runs SET worker_id = NULL WHERE worker_id = %(worker_id)s"
        " AND (%(run_ids)s::text[] IS NULL OR id = ANY(%(run_ids)s))"
        " AND status = 'in_progress' AND status = ANY(%(before)s) RETURNING " + COLUMNS,
        {"worker_id": worker_id, "run_ids": None if run_ids is None else list(run_ids)},
    )
    if released:
        tx.after_commit(queue.ring, len(released))
    return released


def release_lost(tx: Transaction, most: int) -> list[Run]:
    """Takes the runs of lost workers from them and charges each run one lapse."""
    return _change(
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
    return _change(
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
    return _change(
        tx,
        Run,
        RunStatus.EXPIRED,
        "WITH overdue AS (SELECT id FROM runs"
        " WHERE status IN ('queued', 'in_progress', 'requires_action', 'cancelling')"
        " AND expires_at <= now() ORDER BY expires_at LIMIT %(most)s FOR UPDATE SKIP LOCKED)"
        " UPDATE runs SET status = 'expired', worker_id = NULL, required_action = NULL"
        " FROM overdue WHERE runs.id = overdue.id AND status = ANY(%(before)s)"
        " RETURNING " + COLUMNS,
        {"most": most},
    )


def _change(
    tx: Transaction, row: type[R], to: RunStatus, query: LiteralString, parameters: dict[str, Any]
) -> list[R]:
    """Every change of status passes here: a queued run rings, a stopped one wakes its readers."""
    changed = tx.all(row, query, {**parameters, "before": before(to)})
    for run in changed:
        if run.status is RunStatus.QUEUED:
            tx.after_commit(queue.ring)
        if run.status in STOPPED:
            tx.after_commit(events.publish_stopped, run.id)
    return changed


def _lease(run: Run) -> dict[str, Any]:
    return {"id": run.id, "fence": run.fence}


def _held_by(run: Run, changed: list[Run]) -> Run:
    if not changed:
        raise LeaseLost(f"{run.id} is no longer held under fence {run.fence}")
    return changed[0]
