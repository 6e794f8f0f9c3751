"""/threads/{thread_id}/runs/{run_id}/steps"""

from typing import Any

from api.auth import project_id
from api.openai.blueprint import Blueprint
from api.openai.schemas.lists import PageQuery, list_of
from api.openai.schemas.run_steps import RunStep
from api.runtime import single
from shared.store import run_steps, runs
from shared.store.pages import PageRequest

blueprint = Blueprint("run_steps")


@blueprint.route("/threads/<thread_id>/runs/<run_id>/steps", methods=["GET"])
@blueprint.arguments(PageQuery(), location="query")
@blueprint.response(200, list_of(RunStep))
def list_run_steps(page: PageRequest, thread_id: str, run_id: str) -> Any:
    with single() as tx:
        runs.get(tx, project_id(), thread_id, run_id)
        return run_steps.list_page(tx, project_id(), thread_id, run_id, page)


@blueprint.route("/threads/<thread_id>/runs/<run_id>/steps/<step_id>", methods=["GET"])
@blueprint.response(200, RunStep())
def get_run_step(thread_id: str, run_id: str, step_id: str) -> Any:
    with single() as tx:
        runs.get(tx, project_id(), thread_id, run_id)
        return run_steps.get(tx, project_id(), thread_id, run_id, step_id)
