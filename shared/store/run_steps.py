"""Run steps: what a run did, one step per message or batch of tool calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Json

from shared.db import Transaction
from shared.errors import NotFound
from shared.store import pages, runs
from shared.store.pages import Page, PageRequest
from shared.store.runs import COLUMNS, Run

_COLUMNS = (
    "id, project_id, thread_id, run_id, assistant_id, created_at, type, status, step_details,"
    " last_error, expired_at, cancelled_at, failed_at, completed_at, usage"
)
_SELECT = (
    "SELECT " + _COLUMNS + " FROM run_steps"
    " WHERE project_id = %(project_id)s AND thread_id = %(thread_id)s AND run_id = %(run_id)s"
)


@dataclass(frozen=True, kw_only=True)
class RunStep:
    id: str
    project_id: str
    thread_id: str
    run_id: str
    assistant_id: str
    created_at: datetime
    type: str
    status: str
    step_details: dict[str, Any]
    last_error: dict[str, str] | None
    expired_at: datetime | None
    cancelled_at: datetime | None
    failed_at: datetime | None
    completed_at: datetime | None
    usage: dict[str, Any] | None
    expires_at: datetime | None = None  # the run's, while the run goes on


@dataclass(frozen=True, kw_only=True)
class SeenRun(Run):
    has_steps: bool


@dataclass(frozen=True, kw_only=True)
class NewStep:
    """`created_at` in Unix seconds by the database's clock; `usage` of the turn that made it."""

    id: str
    created_at: float
    type: str
    status: str
    details: dict[str, Any]
    usage: dict[str, Any]


# May be part of a statement that says FROM where, and so whether.
CREATE: LiteralString = (
    "INSERT INTO run_steps (id, project_id, thread_id, run_id, assistant_id, created_at, type,"
    " status, step_details, completed_at, failed_at, cancelled_at, last_error, usage)"
    " SELECT %(step_id)s, %(project_id)s, %(thread_id)s, %(run_id)s, %(assistant_id)s,"
    " to_timestamp(%(step_created_at)s), %(step_type)s, %(step_status)s, %(step_details)s::json,"
    " CASE %(step_status)s WHEN 'completed' THEN now() END,"
    " CASE %(step_status)s WHEN 'failed' THEN now() END,"
    " CASE %(step_status)s WHEN 'cancelled' THEN now() END, %(step_error)s::json,"
    " %(step_usage)s::json"
)


def create(tx: Transaction, run: Run, new: NewStep) -> None:
    """In the transaction that stores what the step did."""
    tx.execute(CREATE, of_new(run, new))


def of_new(run: Run, new: NewStep) -> dict[str, Any]:
    """The parameters of CREATE."""
    return {
        "step_id": new.id,
        "step_created_at": new.created_at,
        "step_type": new.type,
        "step_status": new.status,
        "step_details": Json(new.details),
        "step_error": Json(run.last_error) if run.last_error else None,
        "step_usage": Json(new.usage),
        "project_id": run.project_id,
        "thread_id": run.thread_id,
        "run_id": run.id,
        "assistant_id": run.assistant_id,
    }


def is_stored(tx: Transaction, step_id: str) -> bool:
    return bool(tx.value("SELECT TRUE FROM run_steps WHERE id = %(id)s", {"id": step_id}))


def function_calls(step: RunStep) -> list[dict[str, Any]]:
    """Those of its calls that are the caller's to make."""
    calls = step.step_details.get("tool_calls", ())
    return [call for call in calls if call["type"] == "function"]


def complete_tool_step(tx: Transaction, run_id: str, outputs: Mapping[str, str | None]) -> None:
    """Fills in the outputs by call id. The run must be locked."""
    step = tx.one(
        RunStep,
        "SELECT " + _COLUMNS + " FROM run_steps"
        " WHERE run_id = %(run_id)s AND status = 'in_progress'",
        {"run_id": run_id},
    )
    assert step is not None
    details = step.step_details
    for call in function_calls(step):
        call["function"]["output"] = outputs[call["id"]]
    tx.execute(
        "UPDATE run_steps SET status = 'completed', completed_at = now(),"
        " step_details = %(details)s WHERE id = %(id)s",
        {"id": step.id, "details": Json(details)},
    )


def see_run(tx: Transaction, project_id: str, thread_id: str, run_id: str) -> SeenRun:
    """As `runs.get`, and whether there are steps of it."""
    run = tx.one(
        SeenRun,
        "SELECT " + COLUMNS + ", EXISTS (SELECT FROM run_steps WHERE run_id = runs.id) AS has_steps"
        " FROM runs WHERE project_id = %(project_id)s AND thread_id = %(thread_id)s"
        " AND id = %(id)s",
        {"project_id": project_id, "thread_id": thread_id, "id": run_id},
    )
    if run is None:
        raise runs.not_found(run_id)
    return run


def of_run(tx: Transaction, run_id: str) -> list[RunStep]:
    """All steps, oldest first."""
    return tx.all(
        RunStep,
        "SELECT " + _COLUMNS + " FROM run_steps WHERE run_id = %(run_id)s ORDER BY sequence",
        {"run_id": run_id},
    )


def get(tx: Transaction, project_id: str, thread_id: str, run_id: str, step_id: str) -> RunStep:
    step = tx.one(
        RunStep,
        _SELECT + " AND id = %(id)s",
        {"project_id": project_id, "thread_id": thread_id, "run_id": run_id, "id": step_id},
    )
    if step is None:
        raise NotFound(f"No run step found with id '{step_id}'.")
    return step


def list_page(
    tx: Transaction, project_id: str, thread_id: str, run_id: str, request: PageRequest
) -> Page[RunStep]:
    return pages.read(
        tx,
        RunStep,
        request,
        select=_SELECT,
        cursor="SELECT sequence FROM run_steps WHERE project_id = %(project_id)s"
        " AND thread_id = %(thread_id)s AND run_id = %(run_id)s AND id = %(cursor)s",
        parameters={"project_id": project_id, "thread_id": thread_id, "run_id": run_id},
    )
