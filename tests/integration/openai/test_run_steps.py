"""/threads/{thread_id}/runs/{run_id}/steps"""

import httpx2
from openai import OpenAI

from shared.db import Database
from shared.store.runs import Run
from tests.conftest import Caller
from tests.factories import a_run
from tests.integration.wire import a_world, answer, error_of
from tests.model_server import ModelServer, say
from worker.bell import Bell


def an_answered_run(database: Database, caller: Caller, worker: Bell) -> Run:
    run = a_run(database, caller.project_id)
    worker.answer()
    return run


def test_a_run_that_waits_has_no_steps(client: OpenAI, database: Database, caller: Caller) -> None:
    run = a_run(database, caller.project_id)
    assert client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id).data == []


def test_an_answer_is_one_step_that_names_its_message(
    client: OpenAI,
    database: Database,
    caller: Caller,
    worker: Bell,
    model_server: ModelServer,
) -> None:
    model_server.script(say("42", usage={"prompt_tokens": 5, "completion_tokens": 2}))
    run = an_answered_run(database, caller, worker)
    (step,) = client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id).data
    retrieved = client.beta.threads.runs.steps.retrieve(
        step.id, thread_id=run.thread_id, run_id=run.id
    )
    assert retrieved == step
    message = client.beta.threads.messages.list(run.thread_id, run_id=run.id).data[0]
    ended = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    assert step.id.startswith("step_")
    assert (step.object, step.type, step.status) == (
        "thread.run.step",
        "message_creation",
        "completed",
    )
    assert (step.run_id, step.thread_id, step.assistant_id) == (
        run.id,
        run.thread_id,
        run.assistant_id,
    )
    assert step.to_dict()["step_details"] == {
        "type": "message_creation",
        "message_creation": {"message_id": message.id},
    }
    assert step.completed_at == ended.completed_at
    assert step.cancelled_at is step.failed_at is step.expired_at is step.last_error is None
    assert step.to_dict()["usage"] == ended.to_dict()["usage"]


def test_a_run_shows_only_its_own_steps(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    first = a_run(database, caller.project_id)
    answer(database, first, "one", "two")
    second = a_run(database, caller.project_id)
    answer(database, second, "three")
    for run, expected in ((first, 2), (second, 1)):
        listed = http.get(f"threads/{run.thread_id}/runs/{run.id}/steps").json()["data"]
        assert [step["run_id"] for step in listed] == [run.id] * expected


def test_what_a_caller_asks_to_be_included_is_accepted(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    world = a_world(database, caller.project_id)
    path = f"threads/{world['thread_id']}/runs/{world['run_id']}/steps"
    content = "step_details.tool_calls[*].file_search.results[*].content"
    for where in (path, f"{path}/{world['step_id']}"):
        plain = http.get(where).json()
        for name in ("include", "include[]"):
            assert http.get(where, params={name: content}).json() == plain


def test_an_unknown_step_or_one_of_another_run_is_not_found(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    world = a_world(database, caller.project_id)
    other = a_run(database, caller.project_id)
    for thread_id, run_id, step_id in (
        (world["thread_id"], world["run_id"], "step_123"),
        (other.thread_id, other.id, world["step_id"]),
    ):
        path = f"threads/{thread_id}/runs/{run_id}/steps/{step_id}"
        assert error_of(http.get(path), 404) == {
            "message": f"No run step found with id '{step_id}'.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }


def test_an_id_of_another_kind_is_a_bad_argument(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    world = a_world(database, caller.project_id)
    runs = f"threads/{world['thread_id']}/runs"
    for path, name, text, prefix in (
        (f"{runs}/{world['run_id']}/steps/msg_x", "step_id", "msg_x", "step"),
        (f"{runs}/msg_x/steps/{world['step_id']}", "run_id", "msg_x", "run"),
        (f"{runs}/msg_x/steps", "run_id", "msg_x", "run"),
    ):
        error = error_of(http.get(path))
        assert (error["param"], error["code"]) == (name, "invalid_value")
        assert error["message"] == (
            f"Invalid '{name}': '{text}'. Expected an ID that begins with '{prefix}'."
        )
