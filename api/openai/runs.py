"""/threads/{thread_id}/runs and /threads/runs"""

from typing import Any

from flask import Response, jsonify

from api import operations
from api.auth import project_id
from api.openai.blueprint import Blueprint
from api.openai.schemas.lists import PageQuery, list_of
from api.openai.schemas.runs import (
    CreateRun,
    CreateThreadAndRun,
    ModifyRun,
    Nothing,
    Run,
    SubmitToolOutputs,
)
from api.operations import RunRequest
from api.polling import asked_to_hold, hold, poll_after_ms
from api.runtime import runtime, single, transaction
from shared.store import runs, threads
from shared.store.pages import PageRequest

blueprint = Blueprint("runs")

_RUN = Run()


@blueprint.route("/threads/<thread_id>/runs", methods=["POST"])
@blueprint.arguments(CreateRun())
@blueprint.response(200, Run)
def create_run(asked: RunRequest, thread_id: str) -> Any:
    with transaction() as tx:
        run = operations.start_run(
            tx, project_id(), thread_id, asked, runtime().settings.run_seconds
        )
    return _answer(run)


@blueprint.route("/threads/runs", methods=["POST"])
@blueprint.arguments(CreateThreadAndRun())
@blueprint.response(200, Run)
def create_thread_and_run(asked: tuple[dict[str, Any], RunRequest]) -> Any:
    thread, request = asked
    with transaction() as tx:
        run = operations.start_thread_and_run(
            tx, project_id(), thread, request, runtime().settings.run_seconds
        )
    return _answer(run)


@blueprint.route("/threads/<thread_id>/runs", methods=["GET"])
@blueprint.arguments(PageQuery(), location="query")
@blueprint.response(200, list_of(Run))
def list_runs(page: PageRequest, thread_id: str) -> Any:
    with single() as tx:
        threads.get(tx, project_id(), thread_id)
        return runs.list_page(tx, project_id(), thread_id, page)


@blueprint.route("/threads/<thread_id>/runs/<run_id>", methods=["GET"])
@blueprint.response(200, Run)
def get_run(thread_id: str, run_id: str) -> Any:
    project = project_id()

    def read() -> runs.Run:
        with single() as tx:
            return runs.get(tx, project, thread_id, run_id)

    seconds = asked_to_hold()
    return _answer(hold(run_id, read, seconds), held=seconds > 0)


@blueprint.route("/threads/<thread_id>/runs/<run_id>", methods=["POST"])
@blueprint.arguments(ModifyRun(partial=True))
@blueprint.response(200, Run)
def modify_run(changes: dict[str, Any], thread_id: str, run_id: str) -> Any:
    with single() as tx:
        return _answer(runs.update(tx, project_id(), thread_id, run_id, changes.get("metadata")))


@blueprint.route("/threads/<thread_id>/runs/<run_id>/cancel", methods=["POST"])
@blueprint.arguments(Nothing())
@blueprint.response(200, Run)
def cancel_run(_: Any, thread_id: str, run_id: str) -> Any:
    with transaction() as tx:
        run = operations.cancel_run(tx, project_id(), thread_id, run_id)
    return _answer(run)


@blueprint.route("/threads/<thread_id>/runs/<run_id>/submit_tool_outputs", methods=["POST"])
@blueprint.arguments(SubmitToolOutputs())
@blueprint.response(200, Run)
def submit_tool_outputs(outputs: list[tuple[str, str | None]], thread_id: str, run_id: str) -> Any:
    with transaction() as tx:
        run = operations.submit_tool_outputs(tx, project_id(), thread_id, run_id, outputs)
    return _answer(run)


def _answer(run: runs.Run, *, held: bool = False) -> Response:
    response = jsonify(_RUN.dump(run))
    again = poll_after_ms(run, held)
    if again is not None:
        response.headers["openai-poll-after-ms"] = str(again)
    return response
