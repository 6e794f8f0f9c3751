"""/threads/{thread_id}/runs and /threads/runs"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from flask import Response, jsonify, request

from api import operations, wishes
from api.auth import caller, project_id
from api.openai import bodies, streams
from api.openai.blueprint import Blueprint
from api.openai.projection import Event, Projection
from api.openai.schemas.lists import PageQuery, list_of
from api.openai.schemas.run_steps import IncludeQuery
from api.openai.schemas.runs import (
    CreateRun,
    CreateThreadAndRun,
    ModifyRun,
    Nothing,
    Run,
    SubmitToolOutputs,
)
from api.openai.streams import Beginning
from api.polling import asked_to_hold, hold, poll_after_ms
from api.repeats import is_retry, once, opened, sent
from api.run_requests import RunRequest, ToolOutputs
from api.runtime import runtime, single, transaction
from shared.db import Transaction
from shared.ids import new_id
from shared.run_state import RunStatus
from shared.store import lanes, run_steps, runs, threads
from shared.store.pages import PageRequest
from shared.store.run_steps import RunStep

blueprint = Blueprint("runs", "An assistant answering in a thread.")


@blueprint.route("/threads/<thread_id>/runs", methods=["POST"])
@blueprint.arguments(CreateRun())
@blueprint.arguments(IncludeQuery(), location="query")
@blueprint.response(200, Run)
def create_run(asked: RunRequest, whole: bool, thread_id: str) -> Any:
    """Start a run on a thread; with `stream`, answer with its events."""
    project, life = project_id(), runtime().settings.run_seconds
    wait, lane = wishes.may_wait(), wishes.lane()

    def start(tx: Transaction, run_id: str) -> runs.Run:
        return operations.start_run(
            tx,
            project,
            thread_id,
            asked,
            life,
            run_id,
            sent(),
            may_wait=wait,
            lane=lane,
            most_queued=caller().queued_runs,
        )

    def begin(run_id: str) -> Beginning:
        run = _once(lambda tx: start(tx, run_id), opened)
        return Beginning(run, Projection.begin, whole=whole)

    return streams.respond(project, begin) if asked.stream else _begun(start)


@blueprint.route("/threads/runs", methods=["POST"])
@blueprint.arguments(CreateThreadAndRun())
@blueprint.response(200, Run)
def create_thread_and_run(asked: tuple[dict[str, Any], RunRequest]) -> Any:
    """Create a thread and start a run on it, in one request."""
    project, life = project_id(), runtime().settings.run_seconds
    thread_arguments, run_request = asked
    lane = wishes.lane()

    def start(tx: Transaction, run_id: str) -> runs.Run:
        return operations.start_thread_and_run(
            tx,
            project,
            thread_arguments,
            run_request,
            life,
            run_id,
            lane=lane,
            most_queued=caller().queued_runs,
        )

    def begin(run_id: str) -> Beginning:
        run = _once(lambda tx: start(tx, run_id), opened)
        with single() as tx:
            thread = threads.get(tx, project, run.thread_id)

        def opening(projection: Projection) -> Iterator[Event]:
            yield "thread.created", bodies.thread(thread)
            yield from projection.begin()

        return Beginning(run, opening)

    return streams.respond(project, begin) if run_request.stream else _begun(start)


@blueprint.route("/threads/<thread_id>/runs", methods=["GET"])
@blueprint.arguments(PageQuery(), location="query")
@blueprint.response(200, list_of(Run))
def list_runs(page: PageRequest, thread_id: str) -> Any:
    """List the runs of a thread."""
    with single() as tx:
        threads.get(tx, project_id(), thread_id)
        return runs.list_page(tx, project_id(), thread_id, page)


@blueprint.route("/threads/<thread_id>/runs/<run_id>", methods=["GET"])
@blueprint.response(200, Run)
def get_run(thread_id: str, run_id: str) -> Any:
    """Retrieve a run; `Prefer: wait=20` holds the answer until the run stops."""
    project = project_id()

    def read() -> runs.Run:
        with single() as tx:
            return runs.get(tx, project, thread_id, run_id)

    run, held = hold(run_id, read, asked_to_hold())
    response = _answer(run, held=held)
    if run.status is RunStatus.QUEUED:
        with single() as tx:
            response.headers.extend(_how_it_waits(lanes.ahead_of(tx, run)))
    return response


@blueprint.route("/threads/<thread_id>/runs/<run_id>", methods=["POST"])
@blueprint.arguments(ModifyRun(partial=True))
@blueprint.response(200, Run)
def modify_run(changes: dict[str, Any], thread_id: str, run_id: str) -> Any:
    """Change a run's metadata."""
    with single() as tx:
        return _answer(runs.update(tx, project_id(), thread_id, run_id, changes.get("metadata")))


@blueprint.route("/threads/<thread_id>/runs/<run_id>/cancel", methods=["POST"])
@blueprint.arguments(Nothing())
@blueprint.response(200, Run)
def cancel_run(_: Any, thread_id: str, run_id: str) -> Any:
    """Cancel a run that has not ended."""
    with transaction() as tx:
        run = operations.cancel_run(tx, project_id(), thread_id, run_id)
    return _answer(run)


@blueprint.route("/threads/<thread_id>/runs/<run_id>/submit_tool_outputs", methods=["POST"])
@blueprint.arguments(SubmitToolOutputs())
@blueprint.response(200, Run)
def submit_tool_outputs(given: ToolOutputs, thread_id: str, run_id: str) -> Any:
    """Give a run the outputs of its function calls, all in one request."""
    project = project_id()

    def submit(tx: Transaction) -> runs.Run:
        return operations.submit_tool_outputs(
            tx, project, thread_id, run_id, given, again=is_retry()
        )

    def begin(_: str) -> Beginning:
        run, steps = _once_with_steps(submit)
        told = 1 + _completed_by(given, steps)
        return Beginning(run, lambda told_of: told_of.resume(steps[told - 1], run), told)

    if given.stream:
        return streams.respond(project, begin, run_id=run_id)
    return _answer(_once(submit))


@blueprint.route("/threads/<thread_id>/runs/<run_id>/events", methods=["GET"])
@blueprint.arguments(IncludeQuery(), location="query")
@blueprint.response(200, content_type="text/event-stream")
def stream_run(whole: bool, thread_id: str, run_id: str) -> Any:
    """Stream a run's events up to its next stop, from behind `Last-Event-ID` if that is sent."""
    project = project_id()

    def begin(_: str) -> Beginning:
        with transaction() as tx:
            run = operations.stream_run(tx, project, thread_id, run_id)
        return Beginning(run, Projection.begin, whole=whole)

    after = request.headers.get("Last-Event-ID")
    return streams.respond(project, begin, run_id=run_id, numbered=True, numbered_after=after)


def _begun(start: Callable[[Transaction, str], runs.Run]) -> Response:
    """A run that is to be polled: its end may be heard before the request to make it is over."""
    run_id = new_id("run")
    runtime().listener.expect(run_id, project_id())
    return _answer(_once(lambda tx: start(tx, run_id), opened))


def _once(
    act: Callable[[Transaction], runs.Run],
    begin: Callable[[], AbstractContextManager[Transaction]] = transaction,
) -> runs.Run:
    """The run that the request is about; asked for again, the same, as it is now. `begin` is
    `opened` for an `act` that is atomic by itself."""
    made: list[runs.Run] = []

    def make() -> dict[str, str]:
        made.append(act(tx))
        return _name(made[0])

    with begin() as tx:
        named = once(tx, make)
        return made[0] if made else runs.get(tx, project_id(), named["thread_id"], named["run_id"])


def _once_with_steps(act: Callable[[Transaction], runs.Run]) -> tuple[runs.Run, list[RunStep]]:
    """Also the steps as `act` left them: a moment later they may be those of the next turn, too."""
    steps: list[RunStep] = []

    def act_and_look(tx: Transaction) -> runs.Run:
        run = act(tx)
        steps.extend(run_steps.of_run(tx, run.id))
        return run

    run = _once(act_and_look)
    if not steps:
        with single() as tx:
            steps.extend(run_steps.of_run(tx, run.id))
    return run, steps


def _completed_by(given: ToolOutputs, steps: list[RunStep]) -> int:
    """Which of a run's steps took these outputs: the newest whose calls they are for."""
    ids = {call_id for call_id, _ in given.outputs}
    return max(
        n
        for n, step in enumerate(steps)
        if ids == {call["id"] for call in run_steps.function_calls(step)}
    )


def _name(run: runs.Run) -> dict[str, str]:
    return {"thread_id": run.thread_id, "run_id": run.id}


def _how_it_waits(ahead: lanes.Ahead | None) -> dict[str, str]:
    """For a run that waits for a worker; nothing for one that waits for the end of another."""
    if ahead is None:
        return {}
    return {
        "Treadle-Queue-Position": f"{ahead.runs + 1}",
        "Treadle-Queue-Seconds": f"{ahead.waited_seconds:.1f}",
    }


def _answer(run: runs.Run, *, held: bool = False) -> Response:
    response = jsonify(bodies.run(run))
    again = poll_after_ms(run, held)
    if again is not None:
        response.headers["openai-poll-after-ms"] = str(again)
    return response
