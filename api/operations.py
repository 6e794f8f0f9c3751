"""Operations: what takes more than one store call. One transaction each; every dialect's views
come here, so that a rule has one home."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from api import resources
from api.run_requests import RunRequest, ToolOutputs
from shared.db import Transaction
from shared.errors import Conflict, NotFound
from shared.ids import new_id
from shared.run_state import TERMINAL, RunStatus
from shared.store import assistants, creation, messages, run_steps, runs, threads, transitions
from shared.store.assistants import Assistant, AssistantSettings
from shared.store.creation import NewRun
from shared.store.messages import Message, NewMessage
from shared.store.runs import CONVERSATION, Run
from shared.store.threads import Thread


@dataclass(frozen=True)
class Sent:
    """What a request is known by, and whether its sender says that it sent it before."""

    sha256: bytes | None = None
    again: bool = False


def create_assistant(tx: Transaction, project_id: str, settings: dict[str, Any]) -> Assistant:
    with resources.settled_in(tx, project_id, settings) as settled:
        return assistants.create(tx, project_id, AssistantSettings(**settled))


def update_assistant(
    tx: Transaction, project_id: str, assistant_id: str, changes: dict[str, Any]
) -> Assistant:
    with resources.settled_in(tx, project_id, changes) as settled:
        return assistants.update(tx, project_id, assistant_id, settled)


def create_thread(
    tx: Transaction,
    project_id: str,
    *,
    messages: Sequence[NewMessage],
    tool_resources: dict[str, Any],
    metadata: dict[str, str],
) -> Thread:
    with resources.of_thread(tx, project_id, tool_resources, messages) as settled:
        return threads.create(
            tx, project_id, tool_resources=settled, metadata=metadata, first=messages
        )


def update_thread(
    tx: Transaction, project_id: str, thread_id: str, changes: dict[str, Any]
) -> Thread:
    with resources.settled_in(tx, project_id, changes, resources.of_thread) as settled:
        return threads.update(tx, project_id, thread_id, settled)


def add_message(
    tx: Transaction,
    project_id: str,
    thread_id: str,
    new: NewMessage,
    sent: Sent = Sent(),
    *,
    may_wait: bool = False,
) -> Message:
    """Sent again, it gives the message that its first try made. One that may wait stands behind the
    answers of all runs that there are now."""
    thread = threads.lock(tx, project_id, thread_id)
    if sent.again and sent.sha256 is not None:
        made = messages.made_by(tx, thread.id, sent.sha256)
        if made is not None:
            return made
    active = None if may_wait else runs.active_on(tx, thread.id)
    if active is not None:
        raise Conflict(f"Can't add messages to {thread.id} while a run {active} is active.")
    resources.attach(tx, project_id, thread.id, [new])
    return messages.create(tx, project_id, thread.id, new, sent.sha256)


def start_run(
    tx: Transaction,
    project_id: str,
    thread_id: str,
    request: RunRequest,
    life_seconds: int,
    run_id: str | None = None,
    sent: Sent = Sent(),
    *,
    may_wait: bool = False,
    lane: str = CONVERSATION,
    most_queued: int = 0,
) -> Run:
    """A `run_id` is given where its stream already listens for it. Sent again, the request gives
    the run that its first try made. One that may wait gets in line on a busy thread. Where as many
    of the project are queued as may be, LimitReached is raised; 0 means any number."""

    def wanted() -> NewRun:
        return _new_run(
            tx, project_id, thread_id, request, life_seconds, run_id, sent.sha256, lane=lane
        )

    at_once = not (sent.again or may_wait or request.additional_messages)
    if at_once:
        runs.require_room(tx, project_id, most_queued)
        # Whatever is missing, the thread is missed first.
        with suppress(NotFound):
            if run := creation.create_if_ready(tx, wanted()):
                return run
    with tx.atomic():
        thread = threads.lock(tx, project_id, thread_id)
        if sent.again and sent.sha256 is not None:
            made = runs.made_by(tx, thread.id, sent.sha256)
            if made is not None:
                return made
        if not at_once:
            runs.require_room(tx, project_id, most_queued)
        return _start(tx, wanted(), request, may_wait=may_wait)


def start_thread_and_run(
    tx: Transaction,
    project_id: str,
    thread: dict[str, Any],
    request: RunRequest,
    life_seconds: int,
    run_id: str | None = None,
    *,
    lane: str = CONVERSATION,
    most_queued: int = 0,
) -> Run:
    """`thread` holds the arguments of `create_thread`; `most_queued` as for `start_run`."""
    runs.require_room(tx, project_id, most_queued)
    first = [*thread["messages"], *(request.additional_messages or ())]
    with resources.of_thread(tx, project_id, thread["tool_resources"], first) as settled:
        new = _new_run(tx, project_id, new_id("thread"), request, life_seconds, run_id, lane=lane)
        return creation.create_with_thread(
            tx, new, tool_resources=settled, metadata=thread["metadata"], first=first
        )


def submit_tool_outputs(
    tx: Transaction,
    project_id: str,
    thread_id: str,
    run_id: str,
    request: ToolOutputs,
    *,
    again: bool = False,
) -> Run:
    """All the outputs that the run waits for come in one request. Sent again, those that were taken
    are not taken amiss."""
    run = _locked_run(tx, project_id, thread_id, run_id)
    if again and _were_taken(tx, run, request):
        return run
    if run.required_action is None:
        raise _no_outputs(run.status)
    calls = run.required_action["submit_tool_outputs"]["tool_calls"]
    expected = [call["id"] for call in calls]
    given = [call_id for call_id, _ in request.outputs]
    if sorted(expected) != sorted(given):
        raise Conflict(f"Expected tool outputs for call_ids {expected}, got {given}")
    queued = transitions.submit_tool_outputs(tx, run, streamed=request.stream)
    if queued is None:
        raise _no_outputs(RunStatus.EXPIRED)
    run_steps.complete_tool_step(tx, run.id, dict(request.outputs))
    return queued


def stream_run(tx: Transaction, project_id: str, thread_id: str, run_id: str) -> Run:
    """The run's changes are published from now on."""
    threads.get(tx, project_id, thread_id)
    run = runs.get(tx, project_id, thread_id, run_id)
    runs.be_streamed(tx, run.id)
    return run


def cancel_run(tx: Transaction, project_id: str, thread_id: str, run_id: str) -> Run:
    run = _locked_run(tx, project_id, thread_id, run_id)
    if run.status in TERMINAL:
        raise Conflict(f"Cannot cancel run with status '{run.status}'.")
    return transitions.cancel(tx, run)


def _locked_run(tx: Transaction, project_id: str, thread_id: str, run_id: str) -> Run:
    threads.keep(tx, project_id, thread_id)
    return runs.lock(tx, project_id, thread_id, run_id)


def _were_taken(tx: Transaction, run: Run, request: ToolOutputs) -> bool:
    """Whether the run's newest functions were completed by these very outputs."""
    steps = [step for step in run_steps.of_run(tx, run.id) if run_steps.function_calls(step)]
    if not steps or steps[-1].status != "completed":
        return False
    calls = run_steps.function_calls(steps[-1])
    return {call["id"]: call["function"]["output"] for call in calls} == dict(request.outputs)


def _no_outputs(status: RunStatus) -> Conflict:
    return Conflict(f'Runs in status "{status}" do not accept tool outputs.')


def _new_run(
    tx: Transaction,
    project_id: str,
    thread_id: str,
    request: RunRequest,
    life_seconds: int,
    run_id: str | None,
    request_sha256: bytes | None = None,
    *,
    lane: str,
) -> NewRun:
    resources.require_known(tx, project_id, request.tool_resources)
    return NewRun(
        id=run_id or new_id("run"),
        project_id=project_id,
        thread_id=thread_id,
        assistant_id=request.assistant_id,
        options=request,
        life_seconds=life_seconds,
        streamed=request.stream,
        request_sha256=request_sha256,
        lane=lane,
    )


def _start(tx: Transaction, new: NewRun, request: RunRequest, *, may_wait: bool = False) -> Run:
    """The thread is locked. The run's place is behind the messages that come with it."""
    if request.additional_messages:
        # Missed before what is amiss with the messages.
        assistants.get(tx, new.project_id, new.assistant_id)
        resources.attach(tx, new.project_id, new.thread_id, request.additional_messages)
        messages.create_all(tx, new.project_id, new.thread_id, request.additional_messages)
    return creation.create(tx, new, may_wait=may_wait)
