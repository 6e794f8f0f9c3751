"""Changes of a run's status: every one passes `change`, which guards it by run_state and schedules
what it implies. Here also what callers do to a run; `creation` makes them, `claims` has the
workers' verbs, `losses` the sweep's."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from functools import cache
from typing import Any, LiteralString, TypeVar

from shared import events, metrics, queue
from shared.db import Transaction
from shared.run_state import STOPPED, TERMINAL, RunStatus, before
from shared.store.runs import COLUMNS, IN_LINE, Run

log = logging.getLogger(__name__)

_ENDED_OTHERWISE = frozenset({RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.EXPIRED})

R = TypeVar("R", bound=Run)


def change(
    tx: Transaction,
    row: Callable[..., R],
    to: RunStatus,
    query: LiteralString,
    parameters: dict[str, Any],
    *,
    claims: bool = False,
) -> list[R]:
    """A queued run rings, a stopped one wakes its readers, one that ended calls who stands in line
    behind it, and where a run ends without an answer its open step shares its fate. `query` guards
    itself by `status = ANY(%(before)s)`, and `claims` if it gives runs to a worker. An end with an
    answer is atomic by its caller."""
    with tx.atomic() if to in _ENDED_OTHERWISE else nullcontext():
        changed = tx.all(row, query, {**parameters, "before": _written_before(to)})
        if to in _ENDED_OTHERWISE:
            _end_open_steps(tx, to, [run.id for run in changed])
        for run in changed:
            if run.followed and run.status in TERMINAL:
                _call_next(tx, run.thread_id)
    for run in changed:
        _tell(tx, run, is_first_claim=claims and run.fence == 1)
    return changed


@cache
def _written_before(to: RunStatus) -> str:
    """As PostgreSQL writes an array: a list, psycopg would put together for each statement."""
    return "{" + ",".join(before(to)) + "}"


def _tell(tx: Transaction, run: Run, *, is_first_claim: bool) -> None:
    if run.status is RunStatus.QUEUED:
        tx.after_commit(queue.ring)
    if run.status in STOPPED:
        tx.after_commit(events.publish_stopped, run.id)
    # Who made it knows.
    is_new = run.status is RunStatus.QUEUED and not run.fence
    if run.streamed and not is_new:
        begun_at = run.started_at if is_first_claim else None
        tx.after_commit(events.publish_changed, run.id, run.status, begun_at)
    if run.status in TERMINAL:
        tx.after_commit(_log_end, run)


def submit_tool_outputs(tx: Transaction, run: Run, *, streamed: bool) -> Run | None:
    """The run waits for a worker again. The run must be locked; None if its time is over."""
    changed = change(
        tx,
        Run,
        RunStatus.QUEUED,
        "UPDATE runs SET status = 'queued', required_action = NULL, run_after = clock_timestamp(),"
        " streamed = streamed OR %(streamed)s"
        " WHERE id = %(id)s AND status = ANY(%(before)s) AND expires_at > now()"
        " RETURNING " + COLUMNS,
        {"id": run.id, "streamed": streamed},
    )
    return changed[0] if changed else None


def cancel(tx: Transaction, run: Run) -> Run:
    """Asks for the end. The run must be locked and active; who holds it, or the sweep, ends it, and
    at once where nobody does. Returns it as `cancelling`, whatever has become of it since."""
    changed = change(
        tx,
        Run,
        RunStatus.CANCELLING,
        "UPDATE runs SET status = 'cancelling', required_action = NULL"
        " WHERE id = %(id)s AND status = ANY(%(before)s) RETURNING " + COLUMNS,
        {"id": run.id},
    )
    cancelling = changed[0] if changed else run
    if cancelling.worker_id is None:
        change(
            tx,
            Run,
            RunStatus.CANCELLED,
            "UPDATE runs SET status = 'cancelled', cancelled_at = now()"
            " WHERE id = %(id)s AND status = ANY(%(before)s) RETURNING " + COLUMNS,
            {"id": run.id},
        )
    return cancelling


def _log_end(run: Run) -> None:
    """The one line of each run, whoever ended it. Times are the database's."""
    ended_at = run.completed_at or run.failed_at or run.cancelled_at or run.expires_at
    code = run.last_error["code"] if run.last_error else None
    waited_ms = _milliseconds(run.created_at, run.started_at)
    ms = _milliseconds(run.created_at, ended_at)
    metrics.run_ended(run.status, code, run.lane, waited_ms, ms)
    log.info(
        "run",
        extra={
            "run_id": run.id,
            "project_id": run.project_id,
            "status": run.status.value,
            "code": code,
            "waited_ms": waited_ms,
            "ms": ms,
            "tokens": run.usage and run.usage["total_tokens"],
            "lapses": run.lapses,
            "model_failures": run.model_failures,
        },
    )


def _milliseconds(since: datetime, until: datetime | None) -> int | None:
    return int((until - since).total_seconds() * 1000) if until else None


def _call_next(tx: Transaction, thread_id: str) -> None:
    called = tx.execute(
        "WITH next AS (SELECT id FROM runs WHERE thread_id = %(thread_id)s AND "
        + IN_LINE
        + " ORDER BY sequence LIMIT 1 FOR NO KEY UPDATE)"
        " UPDATE runs SET run_after = clock_timestamp(),"
        " expires_at = clock_timestamp() + make_interval(secs => life_seconds), followed = TRUE"
        " FROM next WHERE runs.id = next.id",
        {"thread_id": thread_id},
    )
    if called:
        tx.after_commit(queue.ring)


def _end_open_steps(tx: Transaction, to: RunStatus, run_ids: list[str]) -> None:
    tx.execute(
        "UPDATE run_steps SET status = %(to)s,"
        " cancelled_at = CASE %(to)s WHEN 'cancelled' THEN now() END,"
        " expired_at = CASE %(to)s WHEN 'expired' THEN now() END,"
        " failed_at = CASE %(to)s WHEN 'failed' THEN now() END,"
        " last_error = (SELECT last_error FROM runs WHERE runs.id = run_id)"
        " WHERE run_id = ANY(%(run_ids)s) AND status = 'in_progress'",
        {"to": to.value, "run_ids": run_ids},
    )
