"""What a line's run has come to, as a line of the output file or of the error file."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from api.openai import bodies
from api.openai.schemas.batches import THREADS_RUNS
from shared.batch_state import BatchStatus
from shared.db import Transaction
from shared.ids import derived_id
from shared.run_state import RunStatus
from shared.store import messages, run_steps, runs
from shared.store.batch_lines import Line
from shared.store.batches import Batch
from shared.store.messages import Message
from shared.store.runs import Run

Body = dict[str, Any]

_STATUSES = {"rate_limit_exceeded": 429, "invalid_prompt": 400}
_UNANSWERED = (RunStatus.CANCELLED, RunStatus.EXPIRED)
_EXPIRED = "This request could not be executed before the completion window expired."
_CANCELLED = "This request was not executed: the batch was cancelled."


def written(tx: Transaction, batch: Batch, lines: Sequence[Line]) -> Iterator[tuple[bool, bytes]]:
    """Each line as it is written, with whether it is an output, and not an error."""
    ids = [line.run_id for line in lines if line.run_id is not None]
    found = {run.id: run for run in runs.of_ids(tx, batch.project_id, ids)}
    said: dict[str, list[Message]] = defaultdict(list)
    for message in messages.of_runs(tx, batch.project_id, ids):
        said[message.run_id or ""].append(message)
    for line in lines:
        run = found.get(line.run_id or "")
        told = _told(tx, batch, line, run, said[run.id] if run else [])
        whole = {
            "id": derived_id("batch_req", batch.id, str(line.line)),
            "custom_id": line.custom_id,
            **told,
        }
        yield run is not None and line.outcome == "completed", orjson.dumps(whole) + b"\n"


def _told(tx: Transaction, batch: Batch, line: Line, run: Run | None, said: list[Message]) -> Body:
    if line.refusal is not None:
        error = {"error": line.refusal["error"]}
        return _response(batch, line, line.refusal["status_code"], error)
    is_answered = line.outcome == "completed"
    if run is None or (run.status in _UNANSWERED and not is_answered):
        return {"response": None, "error": _why_not(batch, run)}
    if run.last_error is not None and batch.endpoint != THREADS_RUNS:
        return _response(batch, line, _status_of(run), {"error": _error_of(run)})
    if batch.endpoint == THREADS_RUNS:
        return _response(batch, line, _status_of(run), _thread_run(run, said))
    return _response(batch, line, 200, _completion(tx, run, said))


def _response(batch: Batch, line: Line, status: int, body: Body) -> Body:
    request_id = derived_id("req", batch.id, str(line.line))
    return {
        "response": {"status_code": status, "request_id": request_id, "body": body},
        "error": None,
    }


def _why_not(batch: Batch, run: Run | None) -> Body:
    if batch.is_overdue:
        return {"code": "batch_expired", "message": _EXPIRED}
    if batch.status is BatchStatus.CANCELLING:
        return {"code": "batch_cancelled", "message": _CANCELLED}
    if run is None:
        return {"code": "run_deleted", "message": "The run of this request was deleted."}
    return {
        "code": f"run_{run.status.value}",
        "message": f"The run of this request ended as '{run.status}'.",
    }


def _status_of(run: Run) -> int:
    return 200 if run.last_error is None else _STATUSES.get(run.last_error["code"], 500)


def _error_of(run: Run) -> Body:
    assert run.last_error is not None
    server = _status_of(run) == 500
    return {
        "message": run.last_error["message"],
        "type": "server_error" if server else "invalid_request_error",
        "param": None,
        "code": run.last_error["code"],
    }


def _thread_run(run: Run, said: list[Message]) -> Body:
    return {**bodies.run(run), "messages": [bodies.message(one) for one in said]}


def _completion(tx: Transaction, run: Run, said: list[Message]) -> Body:
    parts = [part for one in said for part in one.content]
    text = "".join(part["text"]["value"] for part in parts if part["type"] == "text")
    refusal = "".join(part["refusal"] for part in parts if part["type"] == "refusal")
    message: Body = {"role": "assistant", "content": text or None, "refusal": refusal or None}
    calls = _calls(tx, run)
    if calls:
        message["tool_calls"] = calls
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _finish_reason(run, bool(calls)),
    }
    return {
        "id": derived_id("chatcmpl", run.id, "0").replace("_", "-"),
        "object": "chat.completion",
        "created": int(run.created_at.timestamp()),
        "model": run.model,
        "choices": [choice],
        "usage": _usage(run),
    }


def _calls(tx: Transaction, run: Run) -> list[Body]:
    """What it would have its caller do: it stopped there."""
    if not run.tools or run.status in (RunStatus.COMPLETED, RunStatus.INCOMPLETE):
        return []
    return [
        {
            "id": call["id"],
            "type": "function",
            "function": {name: call["function"][name] for name in ("name", "arguments")},
        }
        for step in run_steps.of_run(tx, run.id)
        if step.type == "tool_calls"
        for call in step.step_details["tool_calls"]
    ]


def _finish_reason(run: Run, calls: bool) -> str:
    if calls:
        return "tool_calls"
    return "length" if run.status is RunStatus.INCOMPLETE else "stop"


def _usage(run: Run) -> Body | None:
    if run.usage is None:
        return None
    names = ("prompt_tokens", "completion_tokens", "total_tokens", "completion_tokens_details")
    told = {name: run.usage[name] for name in names}
    return {**told, "prompt_tokens_details": run.usage["prompt_token_details"]}
