"""Objects for tests, made through the same operations and transitions as real ones."""

import hashlib
import time
from dataclasses import fields
from typing import Any

from api import operations, resources
from api.run_requests import RunRequest
from shared.db import Database, Transaction
from shared.ids import new_id
from shared.run_state import RunStatus
from shared.store import (
    batches,
    claims,
    files,
    losses,
    messages,
    run_steps,
    transitions,
    vector_store_batches,
    vector_stores,
    workers,
)
from shared.store.assistants import Assistant
from shared.store.batches import Batch, NewBatch
from shared.store.claims import ClaimedRun
from shared.store.creation import NewRun
from shared.store.files import File, NewFile
from shared.store.lanes import Turn
from shared.store.messages import NewAnswer, NewMessage
from shared.store.run_steps import NewStep
from shared.store.runs import CONVERSATION, AskedOptions, Run, RunOptions
from shared.store.threads import Thread
from shared.store.vector_store_batches import FileBatch
from shared.store.vector_store_files import NewStoreFile
from shared.store.vector_stores import NewVectorStore, VectorStore
from worker.model import no_usage


def an_assistant(database: Database, project_id: str, **settings: Any) -> Assistant:
    given = {
        "model": "gpt-4o",
        "instructions": "Be brief.",
        "tools": [],
        "tool_resources": {},
        "metadata": {},
        **settings,
    }
    with database.transaction() as tx:
        return operations.create_assistant(tx, project_id, given)


def a_file(
    database: Database,
    project_id: str,
    *,
    purpose: str = "user_data",
    filename: str = "notes.txt",
    life_seconds: int | None = None,
) -> File:
    """An empty one, which needs no bytes anywhere."""
    new = NewFile(
        id=new_id("file"),
        purpose=purpose,
        filename=filename,
        size=0,
        sha256=hashlib.sha256().digest(),
        life_seconds=life_seconds,
    )
    with database.transaction() as tx:
        files.begin(tx, new.id)
        return files.create(tx, project_id, new)


def a_batch(
    database: Database, project_id: str, file_id: str, *, life_seconds: int = 86400
) -> Batch:
    """Of that file, which nobody has read yet."""
    new = NewBatch(
        endpoint="/v1/threads/runs",
        completion_window="24h",
        input_file_id=file_id,
        metadata={},
    )
    with database.transaction() as tx:
        return batches.create(tx, project_id, new, life_seconds, 1000)


def a_vector_store(
    database: Database, project_id: str, *file_ids: str, **settings: Any
) -> VectorStore:
    """With these files, which nobody has read yet."""
    with database.transaction() as tx:
        return resources.create_vector_store(
            tx,
            project_id,
            NewVectorStore(**{"metadata": {}, **settings}),
            [NewStoreFile(file_id=file_id) for file_id in file_ids],
        )


def a_file_batch(database: Database, project_id: str, store_id: str, *file_ids: str) -> FileBatch:
    """Which nobody has read yet."""
    new = [NewStoreFile(file_id=file_id) for file_id in file_ids]
    with database.transaction() as tx:
        vector_stores.lock(tx, project_id, store_id)
        return vector_store_batches.create(tx, project_id, store_id, new)


def a_message(text: str, role: str = "user") -> NewMessage:
    content = [{"type": "text", "text": {"value": text, "annotations": []}}]
    return NewMessage(role=role, content=content, attachments=[], metadata={})


def a_thread(database: Database, project_id: str, *texts: str) -> Thread:
    with database.transaction() as tx:
        return operations.create_thread(
            tx,
            project_id,
            messages=[a_message(text) for text in texts],
            tool_resources={},
            metadata={},
        )


def a_run(
    database: Database,
    project_id: str,
    *,
    status: RunStatus = RunStatus.QUEUED,
    question: str = "Why?",
    life_seconds: int = 600,
    lane: str = CONVERSATION,
    **request: Any,
) -> Run:
    """A run in that status, on a thread of its own."""
    assistant_id = request.pop("assistant_id", None) or an_assistant(database, project_id).id
    thread = a_thread(database, project_id, question)
    asked = RunRequest(assistant_id=assistant_id, **request)
    with database.transaction() as tx:
        run = operations.start_run(tx, project_id, thread.id, asked, life_seconds, lane=lane)
    with database.transaction() as tx:
        return bring_to(tx, run, status)


def some_runs(
    database: Database, project_id: str, count: int, lane: str = CONVERSATION
) -> list[Run]:
    """Queued, in their order."""
    return [a_run(database, project_id, lane=lane) for _ in range(count)]


def bring_to(tx: Transaction, run: Run, status: RunStatus) -> Run:
    """From queued to any other status."""
    return {
        RunStatus.QUEUED: lambda: run,
        RunStatus.IN_PROGRESS: lambda: a_claim(tx, run),
        RunStatus.REQUIRES_ACTION: lambda: _wait_for_outputs(tx, a_claim(tx, run)),
        RunStatus.CANCELLING: lambda: transitions.cancel(tx, a_claim(tx, run)),
        RunStatus.CANCELLED: lambda: claims.end_cancelled(
            tx, transitions.cancel(tx, a_claim(tx, run))
        ),
        RunStatus.COMPLETED: lambda: claims.finish(tx, a_claim(tx, run), status, no_usage()),
        RunStatus.INCOMPLETE: lambda: claims.finish(tx, a_claim(tx, run), status, no_usage()),
        RunStatus.FAILED: lambda: claims.fail(
            tx, a_claim(tx, run), "server_error", "No.", no_usage()
        ),
        RunStatus.EXPIRED: lambda: _expire(tx, run),
    }[status]()


def _expire(tx: Transaction, run: Run) -> Run:
    tx.execute("UPDATE runs SET expires_at = now() WHERE id = %(id)s", {"id": run.id})
    return next(ended for ended in losses.expire(tx, 1000) if ended.id == run.id)


def _wait_for_outputs(tx: Transaction, run: Run) -> Run:
    function = {"name": "look", "arguments": "{}"}
    call = {"id": "call_1", "type": "function"}
    waiting = claims.require_action(tx, run, [{**call, "function": function}])
    step = {**call, "function": {**function, "output": None}}
    _add_step(tx, waiting, "in_progress", {"type": "tool_calls", "tool_calls": [step]})
    return waiting


def another(run: Run) -> NewRun:
    """A run like this one, on its thread."""
    return NewRun(
        id=new_id("run"),
        project_id=run.project_id,
        thread_id=run.thread_id,
        assistant_id=run.assistant_id,
        options=AskedOptions(**{one.name: getattr(run, one.name) for one in fields(RunOptions)}),
        life_seconds=600,
    )


def an_answer(tx: Transaction, run: Run, text: str) -> tuple[str, str]:
    """A message of the run and its step: their ids."""
    content = [{"type": "text", "text": {"value": text, "annotations": []}}]
    new = NewAnswer(id=new_id("msg"), created_at=time.time(), content=content)
    messages.create_answer(tx, run, new)
    details = {"type": "message_creation", "message_creation": {"message_id": new.id}}
    return new.id, _add_step(tx, run, "completed", details)


def _add_step(tx: Transaction, run: Run, status: str, details: dict[str, Any]) -> str:
    new = NewStep(
        id=new_id("step"),
        created_at=time.time(),
        type=details["type"],
        status=status,
        details=details,
        usage=no_usage(),
    )
    run_steps.create(tx, run, new)
    return new.id


def a_claim(tx: Transaction, run: Run) -> ClaimedRun:
    """This run claimed by a new worker, ahead of any other that waits."""
    tx.execute("UPDATE runs SET run_after = '-infinity' WHERE id = %(id)s", {"id": run.id})
    turn = Turn(lane=run.lane, since=run.project_id)
    (claimed,) = claims.claim(tx, workers.register(tx), turn)
    assert claimed.id == run.id
    return claimed


def claim_one(tx: Transaction, worker_id: str) -> ClaimedRun | None:
    """Whichever is next."""
    claimed = claims.claim(tx, worker_id)
    return claimed[0] if claimed else None
