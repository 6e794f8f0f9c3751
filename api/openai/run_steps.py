"""/threads/{thread_id}/runs/{run_id}/steps"""

from dataclasses import replace
from typing import Any

from api.auth import project_id
from api.openai.blueprint import Blueprint
from api.openai.schemas.lists import list_of
from api.openai.schemas.run_steps import IncludeQuery, RunStep, StepPageQuery, shown
from api.runtime import single
from shared.run_state import TERMINAL
from shared.store import run_steps, runs
from shared.store.pages import Page, PageRequest

blueprint = Blueprint("run_steps", "What a run did: the messages it wrote, the tools it called.")


@blueprint.route("/threads/<thread_id>/runs/<run_id>/steps", methods=["GET"])
@blueprint.arguments(StepPageQuery(), location="query")
@blueprint.response(200, list_of(RunStep))
def list_run_steps(asked: tuple[PageRequest, bool], thread_id: str, run_id: str) -> Any:
    """List the steps of a run, the newest first."""
    page, whole = asked
    with single() as tx:
        run = runs.get(tx, project_id(), thread_id, run_id)
        listed = run_steps.list_page(tx, project_id(), thread_id, run_id, page)
    return Page([_shown(step, run, whole) for step in listed.data], listed.has_more)


@blueprint.route("/threads/<thread_id>/runs/<run_id>/steps/<step_id>", methods=["GET"])
@blueprint.arguments(IncludeQuery(), location="query")
@blueprint.response(200, RunStep())
def get_run_step(whole: bool, thread_id: str, run_id: str, step_id: str) -> Any:
    """Retrieve a run step."""
    with single() as tx:
        run = runs.get(tx, project_id(), thread_id, run_id)
        return _shown(run_steps.get(tx, project_id(), thread_id, run_id, step_id), run, whole)


def _shown(step: run_steps.RunStep, run: runs.Run, whole: bool) -> run_steps.RunStep:
    """With the run's `expires_at`, for as long as the run goes on."""
    told = shown(step, whole=whole)
    return told if run.status in TERMINAL else replace(told, expires_at=run.expires_at)
