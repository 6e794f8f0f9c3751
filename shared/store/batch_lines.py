"""The lines of a batch: where each stands in its file, the run that it became, how that ended.

The row of their batch must be held by whoever writes here, see `store/batches.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Json

from shared.db import Transaction
from shared.run_state import ACTIVE, STOPPED
from shared.store.runs import Run

_WAITING = "batch_id = %(batch_id)s AND run_id IS NULL AND outcome IS NULL"
_RUNNING = "batch_id = %(batch_id)s AND run_id IS NOT NULL AND outcome IS NULL"


@dataclass(frozen=True, kw_only=True)
class NewLine:
    """`length` in bytes, from `at_byte` on."""

    line: int
    custom_id: str
    at_byte: int
    length: int


@dataclass(frozen=True, kw_only=True)
class Line(NewLine):
    run_id: str | None
    outcome: str | None
    refusal: dict[str, Any] | None


@dataclass(frozen=True)
class Stopped:
    """A line whose run goes on no more. `status` is None where somebody deleted the run."""

    line: int
    attempts: int
    status: str | None
    was_begun: bool | None  # by a worker
    usage: dict[str, Any] | None


def add(tx: Transaction, batch_id: str, new: Sequence[NewLine]) -> set[int]:
    """The numbers of those added: others have a `custom_id` that another line has."""
    return set(
        tx.values(
            "INSERT INTO batch_lines (batch_id, line, custom_id, at_byte, length)"
            " SELECT %(batch_id)s, * FROM unnest(%(lines)s::int[], %(custom_ids)s::text[],"
            " %(at_bytes)s::bigint[], %(lengths)s::int[]) ON CONFLICT DO NOTHING RETURNING line",
            {
                "batch_id": batch_id,
                "lines": [one.line for one in new],
                "custom_ids": [one.custom_id for one in new],
                "at_bytes": [one.at_byte for one in new],
                "lengths": [one.length for one in new],
            },
        )
    )


def waiting(tx: Transaction, batch_id: str, most: int) -> list[Line]:
    """Those that have no run yet, the first ones."""
    return tx.all(
        Line,
        "SELECT line, custom_id, at_byte, length, run_id, outcome, refusal FROM batch_lines"
        " WHERE " + _WAITING + " ORDER BY line LIMIT %(most)s",
        {"batch_id": batch_id, "most": most},
    )


def start(tx: Transaction, batch_id: str, begun: Mapping[int, Run]) -> None:
    """These lines have these runs now."""
    tx.execute(
        "UPDATE batch_lines SET run_id = begun.run_id, thread_id = begun.thread_id,"
        " attempts = attempts + 1"
        " FROM unnest(%(lines)s::integer[], %(run_ids)s::text[], %(thread_ids)s::text[])"
        " AS begun (line, run_id, thread_id)"
        " WHERE batch_id = %(batch_id)s AND batch_lines.line = begun.line",
        {
            "batch_id": batch_id,
            "lines": [*begun],
            "run_ids": [run.id for run in begun.values()],
            "thread_ids": [run.thread_id for run in begun.values()],
        },
    )


def refuse(tx: Transaction, batch_id: str, line: int, refusal: dict[str, Any]) -> None:
    """It can become no run."""
    tx.execute(
        "UPDATE batch_lines SET outcome = 'failed', refusal = %(refusal)s"
        " WHERE batch_id = %(batch_id)s AND line = %(line)s",
        {"batch_id": batch_id, "line": line, "refusal": Json(refusal)},
    )


def count_running(tx: Transaction, batch_id: str) -> int:
    return int(
        tx.value("SELECT count(*) FROM batch_lines WHERE " + _RUNNING, {"batch_id": batch_id})
    )


def stopped(tx: Transaction, batch_id: str, most: int) -> list[Stopped]:
    """Those whose runs have stopped and that have no outcome yet."""
    return tx.all(
        Stopped,
        "SELECT line, attempts, status, started_at IS NOT NULL AS was_begun, usage"
        " FROM batch_lines LEFT JOIN runs ON runs.id = run_id WHERE " + _RUNNING + " AND"
        " (runs.id IS NULL OR status = ANY(%(stopped)s)) ORDER BY line LIMIT %(most)s",
        {"batch_id": batch_id, "stopped": [*STOPPED], "most": most},
    )


def settle(tx: Transaction, batch_id: str, lines: Sequence[int], outcome: str) -> None:
    tx.execute(
        "UPDATE batch_lines SET outcome = %(outcome)s"
        " WHERE batch_id = %(batch_id)s AND line = ANY(%(lines)s)",
        {"batch_id": batch_id, "lines": [*lines], "outcome": outcome},
    )


def put_back(tx: Transaction, batch_id: str, lines: Sequence[int]) -> None:
    """They wait again, for another run; the one they had goes with its thread."""
    if lines:
        tx.execute(
            "WITH back AS (UPDATE batch_lines AS now SET run_id = NULL, thread_id = NULL"
            " FROM batch_lines AS had WHERE now.batch_id = %(batch_id)s"
            " AND now.line = ANY(%(lines)s) AND had.batch_id = now.batch_id"
            " AND had.line = now.line RETURNING had.thread_id)"
            " DELETE FROM threads USING back WHERE threads.id = back.thread_id",
            {"batch_id": batch_id, "lines": [*lines]},
        )


@dataclass(frozen=True)
class Going:
    thread_id: str
    run_id: str


def going_on(tx: Transaction, batch_id: str, most: int) -> list[Going]:
    """Runs that nobody has asked to end."""
    active = [status.value for status in ACTIVE if status != "cancelling"]
    return tx.all(
        Going,
        "SELECT runs.thread_id, run_id FROM batch_lines JOIN runs ON runs.id = run_id"
        " WHERE " + _RUNNING + " AND status = ANY(%(active)s) ORDER BY line LIMIT %(most)s",
        {"batch_id": batch_id, "active": active, "most": most},
    )


def page(tx: Transaction, batch_id: str, after: int, most: int) -> list[Line]:
    """In order, behind that line."""
    return tx.all(
        Line,
        "SELECT line, custom_id, at_byte, length, run_id, outcome, refusal FROM batch_lines"
        " WHERE batch_id = %(batch_id)s AND line > %(after)s ORDER BY line LIMIT %(most)s",
        {"batch_id": batch_id, "after": after, "most": most},
    )


def forget(tx: Transaction, batch_id: str, most: int, *, threads: bool) -> int:
    """How many of its lines are deleted; `threads`: and the threads that they became."""
    forgotten: list[str | None] = tx.values(
        "DELETE FROM batch_lines WHERE batch_id = %(batch_id)s AND line IN (SELECT line"
        " FROM batch_lines WHERE batch_id = %(batch_id)s LIMIT %(most)s) RETURNING thread_id",
        {"batch_id": batch_id, "most": most},
    )
    if threads:
        tx.execute("DELETE FROM threads WHERE id = ANY(%(ids)s)", {"ids": forgotten})
    return len(forgotten)
