"""What a line asks for becomes a run in the batch lane, by the schema and the operation that the
same request over HTTP would meet."""

from typing import Any

from marshmallow import ValidationError

from api import operations
from api.openai.schemas.batches import THREADS_RUNS
from api.openai.schemas.completions import CreateCompletion
from api.openai.schemas.faults import first_fault
from api.openai.schemas.runs import CreateThreadAndRun
from shared.db import Transaction
from shared.errors import Invalid
from shared.ids import new_id
from shared.store import creation
from shared.store.batches import Batch
from shared.store.creation import NewRun
from shared.store.runs import BATCH, Run

# The name of no assistant: a chat completion has none.
NO_ASSISTANT = "asst_" + "0" * 24

_THREAD_AND_RUN: Any = CreateThreadAndRun()
_COMPLETION: Any = CreateCompletion()


def start(tx: Transaction, batch: Batch, body: dict[str, Any], life_seconds: int) -> Run:
    """Raises Refused, and has written nothing then."""
    if batch.endpoint == THREADS_RUNS:
        thread, request = _load(_THREAD_AND_RUN, body)
        if request.stream:
            raise Invalid("A batch does not stream: 'stream' is refused.", param="stream")
        return operations.start_thread_and_run(
            tx, batch.project_id, thread, request, life_seconds, lane=BATCH
        )
    messages, options = _load(_COMPLETION, body)
    new = NewRun(
        id=new_id("run"),
        project_id=batch.project_id,
        thread_id=new_id("thread"),
        assistant_id=NO_ASSISTANT,
        options=options,
        life_seconds=life_seconds,
        lane=BATCH,
        by_assistant=False,
    )
    return creation.create_with_thread(tx, new, tool_resources={}, metadata={}, first=messages)


def _load(schema: Any, body: dict[str, Any]) -> Any:
    try:
        return schema.load(body)
    except ValidationError as error:
        raise first_fault(error.messages_dict) from None
