"""What one turn asks of the model, and what its answer makes of the run.

Pure decisions: each gives a function of a transaction, which `execution` carries out under the
fence. Where it takes more than one statement, it makes itself atomic.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared import citations
from shared.citations import Sources
from shared.db import Transaction
from shared.ids import derived_id
from shared.run_state import RunStatus
from shared.store import claims, messages, run_steps
from shared.store.messages import NewAnswer, text_part
from shared.store.run_steps import NewStep, RunStep
from shared.store.runs import Run
from worker.deltas import Deltas, Place
from worker.model import Answer, ToolCall, Usage, no_usage, sum_usage
from worker.prompt import ChatMessage
from worker.tools import file_search
from worker.tools.file_search import TOOL, Call

# By the id of the call that asked for it, what a search found.
Found = Mapping[str, Call]
Decision = Callable[[Transaction], Run]

_INCOMPLETE_MESSAGE = {"length": "max_tokens", "content_filter": "content_filter"}


def completion(
    run: Run,
    chat: list[ChatMessage],
    steps: Sequence[RunStep],
    tools: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The body of the chat completion: only what the run says. `tools` as the model is told."""
    asked = {
        "reasoning_effort": run.reasoning_effort,
        "max_completion_tokens": tokens_left(run, steps),
        "response_format": None if run.response_format == "auto" else run.response_format,
    }
    if tools:
        asked["tools"] = tools
        asked["parallel_tool_calls"] = run.parallel_tool_calls
        asked["tool_choice"] = _tool_choice(run, steps, tools)
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


def after(
    run: Run, answer: Answer, steps: Sequence[RunStep], deltas: Deltas, found: Found
) -> Decision:
    """`found` has what was searched for the answer."""
    if answer.tool_calls and answer.finish_reason == "stop":
        if all(call.id in found for call in answer.tool_calls):
            return _searched(run, answer, deltas, found)
        return lambda tx: _require_action(tx, run, answer, deltas, found)
    return lambda tx: _finish(tx, run, answer, steps, deltas, found)


def _searched(run: Run, answer: Answer, deltas: Deltas, found: Found) -> Decision:
    if _is_said(answer):
        deltas.message()  # Its step comes before that of the calls.

    def store(tx: Transaction) -> None:
        _say_and_call(tx, run, answer, deltas, found, "completed")

    return lambda tx: _go_on(tx, run, deltas, store)


def searched_first(run: Run, search: Call, deltas: Deltas) -> Decision:
    """Nobody asked for it, so the run gives the call its id."""
    call = {"id": derived_id("call", run.id, "unasked"), "type": TOOL, TOOL: search}

    def store(tx: Transaction) -> None:
        _store_calls(tx, run, [call], deltas, "completed", no_usage())

    return lambda tx: _go_on(tx, run, deltas, store)


def has_more_to_do(ended: Run) -> bool:
    """Whether the end of this turn begins the run's next one, in the same hands."""
    return ended.status is RunStatus.IN_PROGRESS and ended.worker_id is not None


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
    tx: Transaction,
    run: Run,
    answer: Answer,
    steps: Sequence[RunStep],
    deltas: Deltas,
    found: Found,
) -> Run:
    to = RunStatus.INCOMPLETE if answer.finish_reason == "length" else RunStatus.COMPLETED
    usage = sum_usage(_used(steps), answer.usage)
    if not answer.tool_calls:
        said = _said(answer, deltas, answer.usage)
        if ended := claims.finish_saying(tx, run, to, usage, *said):
            return ended
    with tx.atomic():
        ended = claims.finish(tx, run, to, usage)
        if answer.tool_calls:
            # Cut off in the middle of them: nobody can make them.
            _say_and_call(tx, ended, answer, deltas, found, "failed")
        else:
            _store(tx, ended, *_said(answer, deltas, answer.usage))
    return ended


def _require_action(tx: Transaction, run: Run, answer: Answer, deltas: Deltas, found: Found) -> Run:
    """By the caller, of the functions; what was searched beside them is there already."""
    functions = [_call(call) for call in answer.tool_calls if call.id not in found]
    with tx.atomic():
        waiting = claims.require_action(tx, run, functions)
        _say_and_call(tx, run, answer, deltas, found, "in_progress")
    return waiting


def _go_on(tx: Transaction, run: Run, deltas: Deltas, store: Callable[[Transaction], None]) -> Run:
    with tx.atomic():
        held = claims.go_on(tx, run)
        # The run is held before and after: a commit whose answer got lost does not show by that.
        if not run_steps.is_stored(tx, deltas.calls().step_id):
            store(tx)
    return held


def _say_and_call(
    tx: Transaction, run: Run, answer: Answer, deltas: Deltas, found: Found, step_status: str
) -> None:
    """What the model said beside its calls is a message of its own; the calls' step has the
    usage of the turn."""
    if _is_said(answer):
        _store(tx, run, *_said(answer, deltas, no_usage()))
    calls = [
        {"id": call.id, "type": TOOL, TOOL: found[call.id]}
        if call.id in found
        else _call(call, output=None)
        for call in answer.tool_calls
    ]
    _store_calls(tx, run, calls, deltas, step_status, answer.usage)


def _store_calls(
    tx: Transaction, run: Run, calls: list[Call], deltas: Deltas, step_status: str, usage: Usage
) -> None:
    place = deltas.calls()
    step = NewStep(
        id=place.step_id,
        created_at=place.created_at,
        type="tool_calls",
        status=step_status,
        details={"type": "tool_calls", "tool_calls": calls},
        usage=usage,
    )
    run_steps.create(tx, run, step)


def _is_said(answer: Answer) -> bool:
    return answer.text is not None or answer.refusal is not None


def _said(answer: Answer, deltas: Deltas, usage: Usage) -> tuple[NewAnswer, NewStep]:
    reason = _INCOMPLETE_MESSAGE.get(answer.finish_reason)
    content = _content(answer.text, answer.refusal, deltas.sources)
    return _message_and_step(deltas.message(), content, reason, "completed", usage)


def _keep_partial(tx: Transaction, run: Run, deltas: Deltas | None, reason: str) -> None:
    if deltas is None or not deltas.heard:
        return
    text, refusal = deltas.said("text") or None, deltas.said("refusal") or None
    content = _content(text, refusal, deltas.sources)
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


def _content(text: str | None, refusal: str | None, sources: Sources) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if text is not None:
        parts.append(text_part(text, citations.annotations(text, sources)))
    if refusal is not None:
        parts.append({"type": "refusal", "refusal": refusal})
    return parts


def _call(call: ToolCall, **extra: None) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments, **extra}
    return {"id": call.id, "type": "function", "function": function}


def _tool_choice(
    run: Run, steps: Sequence[RunStep], tools: Sequence[dict[str, Any]]
) -> str | dict[str, Any]:
    """A call that is demanded is made in the first turn; demanded again, it would never end."""
    choice: str | dict[str, Any] = run.tool_choice
    calls = [call for step in steps for call in step.step_details.get("tool_calls", ())]
    if isinstance(choice, str):
        return "auto" if calls else choice
    if not all(map(file_search.is_unasked, calls)):
        return "auto"
    if choice["type"] != TOOL:
        return choice
    name = file_search.name_in(run.tools)
    offered = any(tool["function"]["name"] == name for tool in tools)
    return {"type": "function", "function": {"name": name}} if offered else "auto"


def _used(steps: Sequence[RunStep]) -> Usage:
    used = no_usage()
    for step in steps:
        used = sum_usage(used, step.usage or no_usage())
    return used
