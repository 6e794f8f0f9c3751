"""Runs: the wire's object, and how to read it. Its status is changed in `transitions` only."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Json

from shared.db import Transaction
from shared.errors import LimitReached, NotFound
from shared.run_state import RunStatus
from shared.store import pages
from shared.store.pages import Page, PageRequest

# A conversation is answered before any batch.
CONVERSATION = "conversation"
BATCH = "batch"
LANES = (CONVERSATION, BATCH)
OPTIONS = (
    "model, instructions, tools, tool_resources, metadata, temperature, top_p, max_prompt_tokens,"
    " max_completion_tokens, truncation_strategy, tool_choice, parallel_tool_calls,"
    " response_format, reasoning_effort"
)
COLUMNS = (
    "runs.id, project_id, thread_id, assistant_id, created_at, status, "
    + OPTIONS
    + ", expires_at, started_at, completed_at, failed_at, cancelled_at, required_action,"
    " last_error, incomplete_details, usage, worker_id, fence, lapses, model_failures,"
    " streamed, place, followed, lane"
)
_WAITS_FOR_WORKER = (
    "worker_id IS NULL AND status IN ('queued', 'in_progress')"
    " AND run_after <= now() AND run_after < 'infinity' AND expires_at > now()"
)
PAUSED_MODELS = "ARRAY(SELECT model FROM model_pauses WHERE until > now())"
ACTIVE = "status IN ('queued', 'in_progress', 'requires_action', 'cancelling')"
BUSY = ACTIVE + " AND run_after < 'infinity'"
IN_LINE = "status = 'queued' AND run_after = 'infinity'"
# When a run that found its project's queue full may be asked for again.
_QUEUE_RETRY_SECONDS = (2.0, 6.0)
_SELECT = (
    "SELECT "
    + COLUMNS
    + " FROM runs WHERE project_id = %(project_id)s AND thread_id = %(thread_id)s"
)


def claimable(paused: LiteralString) -> LiteralString:
    """What is true of a run that a worker may take, where `paused` are the models that are left
    alone."""
    # To the planner, what is coalesced is a coin's toss: of `<> ALL` it would believe that it
    # leaves no run, and then sort the whole backlog for its first.
    return _WAITS_FOR_WORKER + " AND NOT coalesce(model = ANY (" + paused + "), FALSE)"


@dataclass(frozen=True, kw_only=True)
class AskedOptions:
    """How a run is to go. None is the assistant's setting, where it has one; 0 and "" are words.
    The other defaults are the wire's."""

    model: str | None = None
    instructions: str | None = None
    additional_instructions: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_resources: dict[str, Any] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    temperature: float | None = None
    top_p: float | None = None
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None
    truncation_strategy: dict[str, Any] = field(
        default_factory=lambda: {"type": "auto", "last_messages": None}
    )
    tool_choice: Any = "auto"
    parallel_tool_calls: bool = True
    response_format: Any = None
    reasoning_effort: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run goes, by what was asked and its assistant when the run was created."""

    model: str
    instructions: str | None
    tools: list[dict[str, Any]]
    tool_resources: dict[str, Any]
    metadata: dict[str, str]
    temperature: float
    top_p: float
    max_prompt_tokens: int | None
    max_completion_tokens: int | None
    truncation_strategy: dict[str, Any]
    tool_choice: Any
    parallel_tool_calls: bool
    response_format: Any
    reasoning_effort: str | None


@dataclass(frozen=True, kw_only=True)
class Run(RunOptions):
    id: str
    project_id: str
    thread_id: str
    assistant_id: str
    created_at: datetime
    status: RunStatus
    expires_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    cancelled_at: datetime | None
    required_action: dict[str, Any] | None
    last_error: dict[str, str] | None
    incomplete_details: dict[str, str] | None
    usage: dict[str, Any] | None
    worker_id: str | None
    fence: int
    lapses: int
    model_failures: int
    streamed: bool
    place: int | None  # where its answers stand, see messages; None for runs of older versions
    followed: bool  # others stand in line behind it
    lane: str  # one of LANES

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", RunStatus(self.status))


def get(tx: Transaction, project_id: str, thread_id: str, run_id: str) -> Run:
    run = tx.one(
        Run,
        _SELECT + " AND id = %(id)s",
        {"project_id": project_id, "thread_id": thread_id, "id": run_id},
    )
    if run is None:
        raise not_found(run_id)
    return run


def of_ids(tx: Transaction, project_id: str, ids: Sequence[str]) -> list[Run]:
    """Those that exist, in no order."""
    return tx.all(
        Run,
        "SELECT " + COLUMNS + " FROM runs WHERE project_id = %(project_id)s AND id = ANY(%(ids)s)",
        {"project_id": project_id, "ids": [*ids]},
    )


def lock(tx: Transaction, project_id: str, thread_id: str, run_id: str) -> Run:
    """As `get`; until the transaction ends nobody else changes the run."""
    run = tx.one(
        Run,
        _SELECT + " AND id = %(id)s FOR NO KEY UPDATE",
        {"project_id": project_id, "thread_id": thread_id, "id": run_id},
    )
    if run is None:
        raise not_found(run_id)
    return run


def list_page(tx: Transaction, project_id: str, thread_id: str, request: PageRequest) -> Page[Run]:
    return pages.read(
        tx,
        Run,
        request,
        select=_SELECT,
        cursor="SELECT sequence FROM runs WHERE project_id = %(project_id)s"
        " AND thread_id = %(thread_id)s AND id = %(cursor)s",
        parameters={"project_id": project_id, "thread_id": thread_id},
    )


def update(
    tx: Transaction,
    project_id: str,
    thread_id: str,
    run_id: str,
    metadata: dict[str, str] | None,
) -> Run:
    """Metadata only, in any status; None leaves it as it is."""
    run = tx.one(
        Run,
        "UPDATE runs SET metadata = coalesce(%(metadata)s, metadata)"
        " WHERE project_id = %(project_id)s AND thread_id = %(thread_id)s AND id = %(id)s"
        " RETURNING " + COLUMNS,
        {
            "project_id": project_id,
            "thread_id": thread_id,
            "id": run_id,
            "metadata": None if metadata is None else Json(metadata),
        },
    )
    if run is None:
        raise not_found(run_id)
    return run


def made_by(tx: Transaction, thread_id: str, request_sha256: bytes) -> Run | None:
    """The thread's newest run, if this very request made it a short while ago."""
    return tx.one(
        Run,
        "WITH newest AS (SELECT * FROM runs WHERE thread_id = %(thread_id)s"
        " ORDER BY sequence DESC LIMIT 1) SELECT "
        + COLUMNS
        + " FROM newest AS runs WHERE request_sha256 = %(request_sha256)s"
        " AND created_at > now() - interval '10 minutes'",
        {"thread_id": thread_id, "request_sha256": request_sha256},
    )


def be_streamed(tx: Transaction, run_id: str) -> None:
    """From now on the run's changes are published to its streams."""
    tx.execute("UPDATE runs SET streamed = true WHERE id = %(id)s", {"id": run_id})


def active_on(tx: Transaction, thread_id: str) -> str | None:
    """The id of the run that keeps the thread busy."""
    return tx.value(
        "SELECT id FROM runs WHERE thread_id = %(thread_id)s AND " + BUSY, {"thread_id": thread_id}
    )


def count_in_line(tx: Transaction, thread_id: str) -> int:
    return int(
        tx.value(
            "SELECT count(*) FROM runs WHERE thread_id = %(thread_id)s AND " + IN_LINE,
            {"thread_id": thread_id},
        )
    )


def require_room(tx: Transaction, project_id: str, most: int) -> None:
    """Raises LimitReached where `most` runs of the project are queued, in line or not; 0 means that
    any number may be. Others may be counting at the same moment: so many more may get in as there
    are database connections, which is not worth a lock for which all would stand in line."""
    if most and _count_queued(tx, project_id, most) >= most:
        raise LimitReached(
            f"Rate limit reached for project {project_id} on queued runs: Limit {most},"
            f" Used {most}, Requested 1.",
            # Not all at the same moment.
            retry_after=random.uniform(*_QUEUE_RETRY_SECONDS),
        )


def _count_queued(tx: Transaction, project_id: str, most: int) -> int:
    return int(
        tx.value(
            "SELECT count(*) FROM (SELECT FROM runs"
            " WHERE project_id = %(project_id)s AND status = 'queued'"
            " ORDER BY sequence LIMIT %(most)s) AS queued",
            {"project_id": project_id, "most": most},
        )
    )


@dataclass(frozen=True)
class Held:
    id: str
    fence: int
    status: str


def held_by(tx: Transaction, worker_id: str) -> list[Held]:
    return tx.all(
        Held,
        "SELECT id, fence, status FROM runs WHERE worker_id = %(worker_id)s",
        {"worker_id": worker_id},
    )


def count_claimable(tx: Transaction, most: int) -> int:
    """How many runs wait for a worker now, counted up to `most`."""
    return int(
        tx.value(
            "SELECT count(*) FROM (SELECT FROM runs WHERE "
            + claimable(PAUSED_MODELS)
            + " LIMIT %(most)s) AS waiting",
            {"most": most},
        )
    )


def not_found(run_id: str) -> NotFound:
    return NotFound(f"No run found with id '{run_id}'.")
