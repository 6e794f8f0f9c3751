"""What a worker does to the run it holds. Each write carries the fence of its claim: after a
takeover it finds no row, and `LeaseLost` says so."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, LiteralString

from psycopg.types.json import Json

from shared import queue
from shared.db import Transaction
from shared.errors import LeaseLost
from shared.run_state import RunStatus
from shared.store import history, messages, run_steps, transitions
from shared.store.history import Said
from shared.store.lanes import NEWEST_FIRST, NEXT, NEXT_WITH_ROOM, Room, Turn
from shared.store.losses import MOST_LAPSES
from shared.store.messages import NewAnswer
from shared.store.run_steps import NewStep
from shared.store.runs import COLUMNS, Run

_CLAIMS_LOCK = 0x7EAD1E01
_HELD: LiteralString = " WHERE runs.id = %(id)s AND fence = %(fence)s AND status = ANY(%(before)s)"
# Before a write that brings messages or steps along. The thread is locked before the run, as its
# deletion does: else the two could wait for each other.
_WITH_THREAD: LiteralString = (
    "WITH thread AS (SELECT id FROM threads WHERE id = %(thread_id)s FOR KEY SHARE)"
)
_HELD_WITH_THREAD: LiteralString = " FROM thread" + _HELD + " AND thread.id = thread_id"
_FINISHED: LiteralString = (
    "UPDATE runs SET status = %(to)s, completed_at = now(), worker_id = NULL,"
    " usage = %(usage)s, incomplete_details = %(details)s" + _HELD_WITH_THREAD
)
# What its worker does not know, which knows the rest.
_RETURNING_NEWS: LiteralString = " RETURNING runs.completed_at, runs.streamed, runs.followed"
_FINISH: LiteralString = _WITH_THREAD + _FINISHED + _RETURNING_NEWS
_FINISH_SAYING: LiteralString = (
    _WITH_THREAD
    + ", ended AS ("
    + _FINISHED
    + " AND NOT followed"
    + _RETURNING_NEWS
    + "), said AS ("
    + messages.CREATE_ANSWER
    + " FROM ended), done AS ("
    + run_steps.CREATE
    + " FROM ended) SELECT * FROM ended"
)


@dataclass(frozen=True, kw_only=True)
class ClaimedRun(Run):
    weight: int  # claims that its project has for each turn
    seconds_left: float  # until expires_at, by the database's clock
    claimed_at: float  # Unix seconds, by the same clock
    short_history: list[dict[str, Any]] | None  # each as Said, oldest first

    def history(self) -> list[Said] | None:
        """As `history.read` until this run, at the time of the claim; None where it is long,
        and has to be read."""
        said = self.short_history
        return None if said is None else [Said(**message) for message in said]


def plan_once(tx: Transaction) -> None:
    """For a session that does nothing but claim. To plan the statement takes ten times as long as
    to carry it out, and PostgreSQL, left alone, plans it each time anew. It is to be one walk
    through an index whatever is in the table, and is planned as such once, when there may be
    nothing in it yet."""
    tx.execute("SET plan_cache_mode = force_generic_plan")
    tx.execute("SET enable_seqscan = off")
    tx.execute("SET enable_bitmapscan = off")
    tx.execute("SET enable_sort = off")


def claim(
    tx: Transaction, worker_id: str, turn: Turn = Turn(), room: Room = Room()
) -> list[ClaimedRun]:
    """The next runs that wait for a worker become this worker's, each under a new fence: the oldest
    of the project whose turn it is, from the first lane in which some wait. A room that is bounded
    takes a transaction, and gives one run at most.

    Of runs on their last chance a worker holds one: should it be lost once more, only that one
    fails, and not all those that were held beside the run which kills its workers.
    """
    if room.is_bounded:
        # Counted one after the other, or two would see the same last place.
        tx.execute("SELECT pg_advisory_xact_lock(%(lock)s)", {"lock": _CLAIMS_LOCK})
    return transitions.change(
        tx,
        ClaimedRun,
        RunStatus.IN_PROGRESS,
        (NEXT_WITH_ROOM if room.is_bounded else NEWEST_FIRST if turn.newest else NEXT)
        + " UPDATE runs SET status = 'in_progress', worker_id = %(worker_id)s, fence = fence + 1,"
        " started_at = CASE status WHEN 'queued' THEN now() ELSE started_at END"
        " FROM next WHERE runs.id = next.id AND status = ANY(%(before)s)"
        " AND runs.worker_id IS NULL"
        " AND EXISTS (SELECT FROM workers WHERE workers.id = %(worker_id)s AND lost_at IS NULL)"
        " RETURNING "
        + COLUMNS
        + ", (SELECT weight FROM projects WHERE projects.id = project_id) AS weight,"
        " extract(epoch FROM expires_at - now())::float8 AS seconds_left,"
        " extract(epoch FROM now())::float8 AS claimed_at, " + history.SHORT + " AS short_history",
        {
            **vars(turn),
            "worker_id": worker_id,
            "last_chance": MOST_LAPSES - 1,
            "most_of_model": room.of_model,
            "most_of_project": room.of_project,
        },
        claims=True,
    )


def is_last_chance(run: Run) -> bool:
    """Whether the run fails with the next worker it loses."""
    return run.lapses + 1 >= MOST_LAPSES


def finish(tx: Transaction, run: Run, to: RunStatus, usage: dict[str, Any]) -> Run:
    """`to` is completed, or incomplete for an answer that a token limit cut short. The answer's
    message and step belong into the same transaction."""
    with tx.atomic():
        return _held_by(run, _finish(tx, run, to, usage, _FINISH, {}))


def finish_saying(
    tx: Transaction,
    run: Run,
    to: RunStatus,
    usage: dict[str, Any],
    answer: NewAnswer,
    step: NewStep,
) -> Run | None:
    """As `finish`, with an answer and its step, in one statement that needs no transaction around
    it. None, and nothing is written, where there is more to do, as others stand in line behind the
    run, or nothing, as the lease is lost."""
    told = {**messages.of_answer(run, answer), **run_steps.of_new(run, step)}
    ended = _finish(tx, run, to, usage, _FINISH_SAYING, told)
    return ended[0] if ended else None


def _finish(
    tx: Transaction,
    run: Run,
    to: RunStatus,
    usage: dict[str, Any],
    query: LiteralString,
    told: dict[str, Any],
) -> list[Run]:
    details = {"reason": "max_completion_tokens"} if to is RunStatus.INCOMPLETE else None
    known = {"status": to, "worker_id": None, "usage": usage, "incomplete_details": details}
    ended = {
        "to": to.value,
        "usage": Json(usage),
        "details": Json(details) if details else None,
    }
    row = partial(replace, run, **known)
    return transitions.change(tx, row, to, query, {**told, **_lease(run), **ended})


def require_action(tx: Transaction, run: Run, tool_calls: list[dict[str, Any]]) -> Run:
    """The caller's turn; no worker holds the run. The step of the calls belongs into the same
    transaction. `tool_calls` as the wire shows them: id, type, function {name, arguments}."""
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": tool_calls}}
    return _held_by(
        run,
        transitions.change(
            tx,
            Run,
            RunStatus.REQUIRES_ACTION,
            _WITH_THREAD + " UPDATE runs SET status = 'requires_action', worker_id = NULL,"
            " required_action = %(action)s" + _HELD_WITH_THREAD + " RETURNING " + COLUMNS,
            {**_lease(run), "action": Json(action)},
        ),
    )


def go_on(tx: Transaction, run: Run) -> Run:
    """Whoever holds it does its next turn. The steps of this turn belong into the same
    transaction."""
    return _held_by(
        run,
        transitions.change(
            tx,
            Run,
            RunStatus.IN_PROGRESS,
            _WITH_THREAD
            + " SELECT "
            + COLUMNS
            + " FROM thread, runs"
            + _HELD
            + " AND status = 'in_progress' AND thread.id = thread_id FOR NO KEY UPDATE OF runs",
            _lease(run),
        ),
    )


def fail(tx: Transaction, run: Run, code: str, message: str, usage: dict[str, Any]) -> Run:
    return _held_by(
        run,
        transitions.change(
            tx,
            Run,
            RunStatus.FAILED,
            _WITH_THREAD
            + " UPDATE runs SET status = 'failed', failed_at = now(), worker_id = NULL,"
            " last_error = %(error)s, usage = coalesce(usage, %(usage)s)"
            + _HELD_WITH_THREAD
            + " RETURNING "
            + COLUMNS,
            {
                **_lease(run),
                "error": Json({"code": code, "message": message}),
                "usage": Json(usage),
            },
        ),
    )


def end_cancelled(tx: Transaction, run: Run) -> Run:
    """The owner ends what its caller cancelled."""
    return _held_by(
        run,
        transitions.change(
            tx,
            Run,
            RunStatus.CANCELLED,
            _WITH_THREAD
            + " UPDATE runs SET status = 'cancelled', cancelled_at = now(), worker_id = NULL"
            + _HELD_WITH_THREAD
            + " RETURNING "
            + COLUMNS,
            _lease(run),
        ),
    )


def retry_later(tx: Transaction, run: Run, delay_seconds: float, failures: int = 1) -> Run:
    """Frees the worker while the model server wants to be left alone. Still `in_progress`.
    `failures` of the model are counted."""
    return _held_by(
        run,
        transitions.change(
            tx,
            Run,
            RunStatus.IN_PROGRESS,
            "UPDATE runs SET worker_id = NULL, model_failures = model_failures + %(failures)s,"
            " run_after = now() + make_interval(secs => %(delay_seconds)s)"
            + _HELD
            + " AND status = 'in_progress' RETURNING "
            + COLUMNS,
            {**_lease(run), "delay_seconds": delay_seconds, "failures": failures},
        ),
    )


def release(tx: Transaction, worker_id: str, run_ids: Sequence[str] | None = None) -> list[Run]:
    """A worker gives back these runs, or all that it holds; others take over at once."""
    released = transitions.change(
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


def _lease(run: Run) -> dict[str, Any]:
    return {"id": run.id, "fence": run.fence, "thread_id": run.thread_id}


def _held_by(run: Run, changed: list[Run]) -> Run:
    if not changed:
        raise LeaseLost(f"{run.id} is no longer held under fence {run.fence}")
    return changed[0]
