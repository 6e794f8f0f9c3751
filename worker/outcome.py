"""What one turn asks of the model, and what its answer makes of the run.

Pure decisions: each gives a function of a transaction, which `execution` carries out under the
fence. Where it takes more than one statement, it makes itself atomic.
"""

from collections.abc import Callable, Sequence
from typing import Any

from shared.db import Transaction
from shared.run_state import RunStatus
from shared.store import claims, messages, run_steps
from shared.store.messages import NewAnswer, text_part
from shared.store.run_steps import NewStep, RunStep
from shared.store.runs import Run
from worker.deltas import Deltas, Place
from worker.model import Answer, ToolCall, Usage, no_usage, sum_usage
from worker.prompt import ChatMessage

Decision = Callable[[Transaction], Run]

_INCOMPLETE_MESSAGE = {"length": "max_tokens", "content_filter": "content_filter"}


def completion(run: Run, chat: list[ChatMessage], steps: Sequence[RunStep]) -> dict[str, Any]:
    """The body of the chat completion: only what the run says."""
    asked = {
        "reasoning_effort": run.reasoning_effort,
        "max_completion_tokens": tokens_left(run, steps),
        "response_format": None if run.response_format == "auto" else run.response_format,
    }
    if run.tools:
        asked["tools"] = run.tools
        asked["parallel_tool_calls"] = run.parallel_tool_calls
        # A call that is demanded is made in the first turn; demanded again, it would never end.
        asked["tool_choice"] = "auto" if _has_called(steps) else run.tool_choice
    return {
        "model": run.model,
        "messages": chat,
        "temperature": run.temperature,
        "top_p": run.top_p,
        **{name: value for name, value in asked.items() if value is not None},
    }


def tokens_left(run: Run, steps: Sequence[RunStep]) -> int | None:
    """Of the completion tokens that the run may use over all its turns; None without a limit."""
    if run.max_completion_tokens is None:
        return None
    return max(0, run.max_completion_tokens - _used(steps)["completion_tokens"])


def after(run: Run, answer: Answer, steps: Sequence[RunStep], deltas: Deltas) -> Decision:
    if answer.tool_calls and answer.finish_reason == "stop":
        return lambda tx: _require_action(tx, run, answer, deltas)
    return lambda tx: _finish(tx, run, answer, steps, deltas)


def out_of_tokens(run: Run, steps: Sequence[RunStep]) -> Decision:
    return lambda tx: claims.finish(tx, run, RunStatus.INCOMPLETE, _used(steps))


def failure(run: Run, code: str, message: str, deltas: Deltas | None = None) -> Decision:
    """What was already told to listeners is kept, as an incomplete message."""

    def fail(tx: Transaction) -> Run:
        with tx.atomic():
            failed = claims.fail(tx, run, code, message, no_usage())
            _keep_partial(tx, failed, deltas, "run_failed")
        return failed

    return fail


def cancellation(run: Run, deltas: Deltas) -> Decision:
    def cancel(tx: Transaction) -> Run:
        with tx.atomic():
            cancelled = claims.end_cancelled(tx, run)
            _keep_partial(tx, cancelled, deltas, "run_cancelled")
        return cancelled

    return cancel


def _finish(
    tx: Transaction, run: Run, answer: Answer, steps: Sequence[RunStep], deltas: Deltas
) -> Run:
    to = RunStatus.INCOMPLETE if answer.finish_reason == "length" else RunStatus.COMPLETED
    usage = sum_usage(_used(steps), answer.usage)
    if not answer.tool_calls:
        said = _said(answer, deltas.message(), answer.usage)
        if ended := claims.finish_saying(tx, run, to, usage, *said):
            return ended
    with tx.atomic():
        ended = claims.finish(tx, run, to, usage)
        if answer.tool_calls:
            # Cut off in the middle of them: nobody can make them.
            _say_and_call(tx, ended, answer, deltas, "failed")
        else:
            _store(tx, ended, *_said(answer, deltas.message(), answer.usage))
    return ended


def _require_action(tx: Transaction, run: Run, answer: Answer, deltas: Deltas) -> Run:
    with tx.atomic():
        waiting = claims.require_action(tx, run, [_call(call) for call in answer.tool_calls])
        _say_and_call(tx, run, answer, deltas, "in_progress")
    return waiting


def _say_and_call(
    tx: Transaction, run: Run, answer: Answer, deltas: Deltas, step_status: str
) -> None:
    """What the model said beside its calls is a message of its own; the calls' step has the
    usage of the turn."""
    if answer.text is not None or answer.refusal is not None:
        _store(tx, run, *_said(answer, deltas.message(), no_usage()))
    calls = [_call(call, output=None) for call in answer.tool_calls]
    place = deltas.calls()
    step = NewStep(
        id=place.step_id,
        created_at=place.created_at,
        type="tool_calls",
        status=step_status,
        details={"type": "tool_calls", "tool_calls": calls},
        usage=answer.usage,
    )
    run_steps.create(tx, run, step)


def _said(answer: Answer, place: Place, usage: Usage) -> tuple[NewAnswer, NewStep]:
    reason = _INCOMPLETE_MESSAGE.get(answer.finish_reason)
    return _message_and_step(
        place, _content(answer.text, answer.refusal), reason, "completed", usage
    )


def _keep_partial(tx: Transaction, run: Run, deltas: Deltas | None, reason: str) -> None:
    if deltas is None or not deltas.heard:
        return
    content = _content(deltas.said("text") or None, deltas.said("refusal") or None)
    if content:
        place, status = deltas.message(), run.status.value
        _store(tx, run, *_message_and_step(place, content, reason, status, no_usage()))


def _store(tx: Transaction, run: Run, answer: NewAnswer, step: NewStep) -> None:
    messages.create_answer(tx, run, answer)
    run_steps.create(tx, run, step)


def _message_and_step(
    place: Place,
    content: list[dict[str, Any]],
    incomplete_reason: str | None,
    step_status: str,
    usage: Usage,
) -> tuple[NewAnswer, NewStep]:
    answer = NewAnswer(
        id=place.message_id,
        created_at=place.created_at,
        content=content,
        incomplete_reason=incomplete_reason,
    )
    step = NewStep(
        id=place.step_id,
        created_at=place.created_at,
        type="message_creation",
        status=step_status,
        details={"type": "message_creation", "message_creation": {"message_id": answer.id}},
        usage=usage,
    )
    return answer, step


def _content(text: str | None, refusal: str | None) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if text is not None:
        parts.append(text_part(text))
    if refusal is not None:
        parts.append({"type": "refusal", "refusal": refusal})
    return parts


def _call(call: ToolCall, **extra: None) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments, **extra}
    return {"id": call.id, "type": "function", "function": function}


def _has_called(steps: Sequence[RunStep]) -> bool:
    return any(step.type == "tool_calls" for step in steps)


def _used(steps: Sequence[RunStep]) -> Usage:
    used = no_usage()
    for step in steps:
        used = sum_usage(used, step.usage or no_usage())
    return used
