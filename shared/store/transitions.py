"""Changes of a run's status: every one passes `change`, which guards it by run_state and schedules
what it implies. Here also what callers do; `claims` has the workers' verbs, `losses` the sweep's.
"""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, LiteralString, TypeVar

from psycopg.types.json import Json

from shared import events, metrics, queue
from shared.db import Transaction
from shared.errors import Conflict
from shared.run_state import STOPPED, TERMINAL, RunStatus, before
from shared.store import assistants
from shared.store.runs import (
    ACTIVE,
    BUSY,
    COLUMNS,
    CONVERSATION,
    IN_LINE,
    OPTIONS,
    AskedOptions,
    CreatedRun,
    Run,
    active_on,
    count_in_line,
)

log = logging.getLogger(__name__)

_JSON = frozenset(
    {"tools", "tool_resources", "metadata", "truncation_strategy", "tool_choice", "response_format"}
)
_ENDED_OTHERWISE = frozenset({RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.EXPIRED})

# Runs that may stand in line on one thread.
MOST_IN_LINE = 100

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


@dataclass(frozen=True, kw_only=True)
class NewRun:
    id: str
    project_id: str
    thread_id: str
    assistant_id: str
    options: AskedOptions
    life_seconds: int
    streamed: bool = False
    request_sha256: bytes | None = None
    lane: str = CONVERSATION
    by_assistant: bool = True  # which must exist; a chat completion has none


def create(tx: Transaction, new: NewRun, *, may_wait: bool = False) -> CreatedRun:
    """The thread must be locked. Raises NotFound without the assistant, Conflict while another run
    of the thread is active, or gets in line behind that if it may. Those ahead live at most until
    the last of them expires, and then this one's life begins."""
    in_line = _get_in_line(tx, new.thread_id) if may_wait else False
    created = _insert(tx, new, in_line=in_line)
    if created is None:
        if new.by_assistant:
            assistants.get(tx, new.project_id, new.assistant_id)
        active = active_on(tx, new.thread_id)
        raise Conflict(f"Thread {new.thread_id} already has an active run {active}.")
    return created


def create_if_ready(tx: Transaction, new: NewRun) -> CreatedRun | None:
    """As `create`, and locks the thread itself: one statement, which needs no transaction around
    it. None, and nothing is written, unless thread and assistant exist, and the thread is not busy
    and gives the run something to answer."""
    return _insert(tx, new, needs_something=True)


_INSTRUCTIONS: LiteralString = (
    "(SELECT CASE WHEN %(additional_instructions)s <> ''"
    " THEN concat_ws(E'\n', nullif(said, ''), %(additional_instructions)s) ELSE said END"
    " AS instructions FROM coalesce(%(instructions)s, assistant.instructions) AS said) AS told"
)
# The thread's lock comes first, and what is numbered and timed comes under it.
_INSERT: LiteralString = (
    "WITH thread AS (SELECT id FROM threads WHERE project_id = %(project_id)s"
    " AND id = %(thread_id)s FOR NO KEY UPDATE), assistant AS (SELECT * FROM assistants"
    " WHERE project_id = %(project_id)s AND id = %(assistant_id)s)"
    " INSERT INTO runs (id, project_id, thread_id, assistant_id, lane, streamed, request_sha256,"
    " life_seconds, expires_at, run_after, "
    + OPTIONS
    + ") SELECT %(id)s, %(project_id)s, %(thread_id)s, %(assistant_id)s,"
    " %(lane)s, %(streamed)s, %(request_sha256)s,"
    " %(life_seconds)s, make_interval(secs => %(life_seconds)s) + CASE WHEN %(in_line)s THEN"
    " (SELECT max(expires_at) FROM runs WHERE thread_id = %(thread_id)s AND "
    + ACTIVE
    + ") ELSE clock_timestamp() END,"
    " CASE WHEN %(in_line)s THEN 'infinity' ELSE clock_timestamp() END,"
    " coalesce(%(model)s, assistant.model), told.instructions,"
    " coalesce(%(tools)s, assistant.tools),"
    " coalesce(%(tool_resources)s, assistant.tool_resources), %(metadata)s,"
    " coalesce(%(temperature)s, assistant.temperature), coalesce(%(top_p)s, assistant.top_p),"
    " %(max_prompt_tokens)s, %(max_completion_tokens)s, %(truncation_strategy)s,"
    " %(tool_choice)s, %(parallel_tool_calls)s,"
    " coalesce(%(response_format)s, assistant.response_format),"
    " coalesce(%(reasoning_effort)s, assistant.reasoning_effort)"
    " FROM thread LEFT JOIN assistant ON TRUE CROSS JOIN LATERAL "
    + _INSTRUCTIONS
    + " WHERE (assistant.id IS NOT NULL OR NOT %(by_assistant)s)"
    " AND (NOT %(needs_something)s OR told.instructions <> ''"
    " OR EXISTS (SELECT FROM messages WHERE thread_id = %(thread_id)s AND role = 'user'))"
    " ON CONFLICT (thread_id) WHERE "
    + BUSY
    + " DO NOTHING RETURNING "
    + COLUMNS
    + ", EXISTS (SELECT FROM messages WHERE messages.thread_id = runs.thread_id"
    " AND role = 'user') AS thread_has_user_message"
)


def _insert(
    tx: Transaction, new: NewRun, *, in_line: bool = False, needs_something: bool = False
) -> CreatedRun | None:
    options = {
        name: Json(value) if name in _JSON and value is not None else value
        for name, value in vars(new.options).items()
    }
    created = change(
        tx,
        CreatedRun,
        RunStatus.QUEUED,
        _INSERT,
        {**vars(new), **options, "in_line": in_line, "needs_something": needs_something},
    )
    return created[0] if created else None


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


def _get_in_line(tx: Transaction, thread_id: str) -> bool:
    """Whether there is a run to stand behind, and it is bound to call at its end: it is told so in
    its own row, which its end must take. Who ended meanwhile may have called the next, so that one
    is told instead."""
    while active_on(tx, thread_id) is not None:
        told = tx.execute(
            "UPDATE runs SET followed = TRUE WHERE thread_id = %(thread_id)s AND " + BUSY,
            {"thread_id": thread_id},
        )
        if told:
            if count_in_line(tx, thread_id) >= MOST_IN_LINE:
                raise Conflict(
                    f"Thread {thread_id} already has {MOST_IN_LINE} runs that wait for their turn."
                )
            return True
    return False


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
