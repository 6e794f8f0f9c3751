"""Objects as bodies: in answers, and in stream events as they were at the moment these speak of."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from api.openai.schemas import run_steps
from api.openai.schemas.batches import Batch as BatchSchema
from api.openai.schemas.files import File as FileSchema
from api.openai.schemas.messages import Message as MessageSchema
from api.openai.schemas.run_steps import RunStep as RunStepSchema
from api.openai.schemas.runs import Run as RunSchema
from api.openai.schemas.threads import Thread as ThreadSchema
from api.openai.schemas.vector_store_files import FileBatch as FileBatchSchema
from api.openai.schemas.vector_store_files import StoreFile as StoreFileSchema
from api.openai.schemas.vector_stores import VectorStore as VectorStoreSchema
from shared.run_state import RunStatus
from shared.store.batches import Batch
from shared.store.files import File
from shared.store.messages import Message
from shared.store.run_steps import RunStep
from shared.store.runs import Run
from shared.store.threads import Thread
from shared.store.vector_store_batches import FileBatch
from shared.store.vector_store_files import StoreFile
from shared.store.vector_stores import VectorStore

Body = dict[str, Any]

_RUN, _STEP, _MESSAGE, _THREAD = RunSchema(), RunStepSchema(), MessageSchema(), ThreadSchema()
_FILE, _BATCH = FileSchema(), BatchSchema()
_STORE, _STORE_FILE, _FILE_BATCH = VectorStoreSchema(), StoreFileSchema(), FileBatchSchema()


def run(shown: Run) -> Body:
    return _dump(_RUN, shown)


def step(shown: RunStep, of: Run, *, whole: bool = False) -> Body:
    """Streamed, a step keeps the run's `expires_at` to its end."""
    told = run_steps.shown(shown, whole=whole)
    return _dump(_STEP, replace(told, expires_at=of.expires_at))


def message(shown: Message) -> Body:
    return _dump(_MESSAGE, shown)


def thread(shown: Thread) -> Body:
    return _dump(_THREAD, shown)


def file(shown: File) -> Body:
    return _dump(_FILE, shown)


def batch(shown: Batch) -> Body:
    return _dump(_BATCH, shown)


def vector_store(shown: VectorStore) -> Body:
    return _dump(_STORE, shown)


def store_file(shown: StoreFile) -> Body:
    return _dump(_STORE_FILE, shown)


def file_batch(shown: FileBatch) -> Body:
    return _dump(_FILE_BATCH, shown)


def message_delta(message_id: str, content: list[Body]) -> Body:
    return {"id": message_id, "object": "thread.message.delta", "delta": {"content": content}}


def step_delta(step_id: str, calls: list[Body]) -> Body:
    details = {"type": "tool_calls", "tool_calls": calls}
    return {"id": step_id, "object": "thread.run.step.delta", "delta": {"step_details": details}}


def search_delta(step_id: str, index: int, call: Body) -> Body:
    """What was found comes with the end of the step."""
    begun = {"ranking_options": call["file_search"]["ranking_options"], "results": []}
    told = {"index": index, "id": call["id"], "type": "file_search", "file_search": begun}
    return step_delta(step_id, [told])


def annotation_delta(index: int, cited: Body) -> Body:
    """Recorded with an empty quote, which the whole message does not have."""
    return {"index": index, **cited, "file_citation": {**cited["file_citation"], "quote": ""}}


def as_queued(shown: Run) -> Run:
    return replace(_unended(shown), status=RunStatus.QUEUED, started_at=None)


def as_queued_again(shown: Run) -> Run:
    return replace(_unended(shown), status=RunStatus.QUEUED)


def as_in_progress(shown: Run) -> Run:
    started_at = shown.started_at or datetime.now(UTC)
    return replace(_unended(shown), status=RunStatus.IN_PROGRESS, started_at=started_at)


def as_cancelling(shown: Run) -> Run:
    return replace(_unended(shown), status=RunStatus.CANCELLING)


def as_opened(shown: RunStep) -> RunStep:
    details = shown.step_details
    if shown.type == "tool_calls":
        details = {"type": "tool_calls", "tool_calls": []}
    return replace(
        shown,
        status="in_progress",
        step_details=details,
        last_error=None,
        expired_at=None,
        cancelled_at=None,
        failed_at=None,
        completed_at=None,
        usage=None,
    )


def as_begun(shown: Message) -> Message:
    return replace(
        shown,
        status="in_progress",
        content=[],
        completed_at=None,
        incomplete_at=None,
        incomplete_details=None,
    )


def named(of: Run, delta: Body, kind: str) -> tuple[RunStep, Message]:
    """The step, and the message it would make, that a delta names and nothing has stored yet."""
    created_at = datetime.fromtimestamp(delta["created_at"], UTC)
    shared: dict[str, Any] = {
        "project_id": of.project_id,
        "thread_id": of.thread_id,
        "run_id": of.id,
        "assistant_id": of.assistant_id,
        "created_at": created_at,
        "completed_at": None,
    }
    details: Body = {"type": kind, "message_creation": {"message_id": delta["message_id"]}}
    step = RunStep(
        id=delta["step_id"],
        type=kind,
        status="in_progress",
        step_details=details,
        last_error=None,
        expired_at=None,
        cancelled_at=None,
        failed_at=None,
        usage=None,
        **shared,
    )
    message = Message(
        id=delta["message_id"],
        role="assistant",
        content=[],
        attachments=[],
        metadata={},
        status="in_progress",
        incomplete_at=None,
        incomplete_details=None,
        **shared,
    )
    return step, message


def _unended(shown: Run) -> Run:
    return replace(
        shown,
        completed_at=None,
        failed_at=None,
        cancelled_at=None,
        last_error=None,
        incomplete_details=None,
        required_action=None,
        usage=None,
    )


def _dump(schema: Any, shown: Any) -> Body:
    return schema.dump(shown)
