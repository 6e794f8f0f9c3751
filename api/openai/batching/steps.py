"""A batch from its file to its files, in steps: each bounded, each a transaction that holds the
batch's row. Whatever process dies, the next step is whoever's comes first.

validating   its lines are read and noted
in_progress  lines become runs, so many at once, and runs that stopped are counted
finalizing, cancelling   when its last runs have stopped, its files are written
ended        its lines are deleted
"""

import logging
from typing import Any

from api.openai.batching import reading, requests
from api.openai.batching.reading import error
from api.openai.batching.writing import LEASE_SECONDS, Writing
from api.openai.schemas.batches import CHAT_COMPLETIONS
from api.runtime import Runtime
from shared.batch_state import ENDED, BatchStatus
from shared.db import Transaction
from shared.errors import LeaseLost, NotFound, Refused
from shared.run_state import ACTIVE, RunStatus
from shared.store import batch_lines, batch_transitions, batches, runs, transitions
from shared.store.batch_lines import Going, Line, NewLine, Stopped
from shared.store.batches import Batch, Counts
from shared.store.runs import Run

log = logging.getLogger(__name__)

_LINES_A_STEP = 16
_RUNS_A_STEP = 50
_CANCELS_A_STEP = 100
# Between looks at runs that go on, and after something that went wrong.
_LOOK_SECONDS = 1.0
_STOP_SECONDS = 0.3
_AFTER_FAILURE_SECONDS = 10.0
# Of a run that expired though a worker had begun it, which may be the request's own fault.
_MOST_ATTEMPTS = 3

# With an answer, or with calls that are one.
_ANSWERED = (RunStatus.COMPLETED, RunStatus.INCOMPLETE, RunStatus.REQUIRES_ACTION)

_EMPTY = "The input file is empty. Please ensure that the batch contains at least one request."


class Steps:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._writing = Writing(runtime.database, runtime.blobs)

    def advance(self) -> bool:
        """One step of one batch. Whether there was one to do."""
        with self._runtime.database.transaction() as tx:
            batch = batches.take(tx)
            if batch is None:
                return False
            writer = None
            try:
                with tx.atomic():
                    batch, writer = self._step(tx, batch)
            except Exception:
                # What goes wrong with one must not keep the others waiting.
                log.exception("batch step failed", extra={"batch_id": batch.id})
                batches.rest(tx, batch, _AFTER_FAILURE_SECONDS)
        if writer is not None:
            self._write(batch, writer)
        return True

    def _step(self, tx: Transaction, batch: Batch) -> tuple[Batch, int | None]:
        """The batch, and the fence under which its files are to be written now."""
        if batch.is_over and batch.status in (BatchStatus.VALIDATING, BatchStatus.IN_PROGRESS):
            batch = batch_transitions.finalize(tx, batch, is_overdue=True)
        if batch.status in ENDED:
            self._forget(tx, batch)
        elif batch.status is BatchStatus.VALIDATING:
            self._validate(tx, batch)
        elif batch.status is BatchStatus.IN_PROGRESS:
            self._work(tx, batch)
        elif self._has_stopped(tx, batch):
            return batch, batches.lease(tx, batch, LEASE_SECONDS)
        return batch, None

    def _write(self, batch: Batch, fence: int) -> None:
        """If it cannot be done now, it is begun anew when the lease has lapsed."""
        try:
            self._writing.write(batch, fence)
        except LeaseLost:
            log.warning("batch is written elsewhere", extra={"batch_id": batch.id})
        except Exception:
            log.exception("batch step failed", extra={"batch_id": batch.id})

    def _validate(self, tx: Transaction, batch: Batch) -> None:
        chunk = reading.read(self._runtime.blobs, batch, self._runtime.settings.body_bytes)
        added = batch_lines.add(tx, batch.id, chunk.lines)
        errors = [*(batch.errors or []), *chunk.errors]
        errors += [_duplicate(line) for line in chunk.lines if line.line not in added]
        if chunk.read_lines > reading.MOST_LINES:
            message = f"The input file has more than {reading.MOST_LINES} lines."
            errors.append(error("too_many_lines", message))
            chunk.is_last = True
        errors = errors[: reading.MOST_ERRORS]
        batches.note_read(tx, batch, chunk.read_bytes, chunk.read_lines, errors, chunk.model)
        if not chunk.is_last and len(errors) < reading.MOST_ERRORS:
            batches.rest(tx, batch, 0)
        elif errors:
            batch_transitions.fail(tx, batch, errors)
        elif not batch_lines.waiting(tx, batch.id, 1):
            batch_transitions.fail(tx, batch, [error("empty_file", _EMPTY)])
        else:
            batch_transitions.begin(tx, batch)

    def _work(self, tx: Transaction, batch: Batch) -> None:
        collected = _collect(tx, batch)
        running = batch_lines.count_running(tx, batch.id)
        most = min(batch.most_at_once - running, _LINES_A_STEP)
        lines = batch_lines.waiting(tx, batch.id, most) if most > 0 else []
        begun = {line.line: run for line in lines if (run := self._start(tx, batch, line))}
        if begun:
            batch_lines.start(tx, batch.id, begun)
        more = len(lines) == _LINES_A_STEP or collected == _RUNS_A_STEP
        if lines or running:
            batches.rest(tx, batch, 0 if more else _LOOK_SECONDS)
        else:
            batch_transitions.finalize(tx, batch, is_overdue=False)

    def _start(self, tx: Transaction, batch: Batch, line: Line) -> Run | None:
        """None for a line that can become no run."""
        pieces = self._runtime.blobs.pieces(batch.input_file_id, line.at_byte, line.length)
        body = reading.parsed(b"".join(pieces))["body"]
        try:
            return requests.start(tx, batch, body, self._runtime.settings.run_seconds)
        except Refused as refused:
            batch_lines.refuse(tx, batch.id, line.line, _refusal(refused))
            batches.count(tx, batch, Counts(failed=1))
            return None

    def _has_stopped(self, tx: Transaction, batch: Batch) -> bool:
        """Whether none of its runs goes on. Those that do are told to end."""
        for going in batch_lines.going_on(tx, batch.id, _CANCELS_A_STEP):
            _cancel(tx, batch, going)
        _collect(tx, batch)
        if batch_lines.count_running(tx, batch.id):
            batches.rest(tx, batch, _STOP_SECONDS)
            return False
        return True

    def _forget(self, tx: Transaction, batch: Batch) -> None:
        """What a chat completion was in the making is nobody's thread."""
        threads = batch.endpoint == CHAT_COMPLETIONS
        if not batch_lines.forget(tx, batch.id, _RUNS_A_STEP, threads=threads):
            batches.settle(tx, batch)


def _collect(tx: Transaction, batch: Batch) -> int:
    """Counts what has stopped; how many. A run whose time was over before a worker had any for it
    is begun again, as long as the batch is not over itself."""
    stopped = batch_lines.stopped(tx, batch.id, _RUNS_A_STEP)
    again = [one.line for one in stopped if _may_be_begun_again(batch, one)]
    counts, lines = Counts(), {"completed": list[int](), "failed": list[int]()}
    for one in stopped:
        if one.line not in again:
            lines["completed" if one.status in _ANSWERED else "failed"].append(one.line)
            counts.add_usage(one.usage)
    counts.completed, counts.failed = len(lines["completed"]), len(lines["failed"])
    for outcome, settled in lines.items():
        batch_lines.settle(tx, batch.id, settled, outcome)
    batch_lines.put_back(tx, batch.id, again)
    if stopped:
        batches.count(tx, batch, counts)
    return len(stopped)


def _may_be_begun_again(batch: Batch, stopped: Stopped) -> bool:
    return (
        batch.status is BatchStatus.IN_PROGRESS
        and stopped.status == RunStatus.EXPIRED
        and (not stopped.was_begun or stopped.attempts < _MOST_ATTEMPTS)
    )


def _cancel(tx: Transaction, batch: Batch, going: Going) -> None:
    try:
        run = runs.lock(tx, batch.project_id, going.thread_id, going.run_id)
    except NotFound:
        return
    if run.status in ACTIVE and run.status is not RunStatus.CANCELLING:
        transitions.cancel(tx, run)


def _refusal(refused: Refused) -> dict[str, Any]:
    body = {
        "message": refused.message,
        "type": "invalid_request_error",
        "param": refused.param,
        "code": refused.code,
    }
    return {"status_code": 404 if isinstance(refused, NotFound) else 400, "error": body}


def _duplicate(line: NewLine) -> dict[str, Any]:
    message = (
        f"The custom_id '{line.custom_id}' for this request is a duplicate of another request."
        " The custom_id parameter must be unique for each request in a batch."
    )
    return error("duplicate_custom_id", message, param="custom_id", line=line.line)
