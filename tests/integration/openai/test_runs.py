"""/threads/{thread_id}/runs: retrieve and modify."""

from typing import Any

import httpx2
from openai import OpenAI

from shared.db import Database
from shared.run_state import ACTIVE, TERMINAL, RunStatus
from tests.conftest import Caller
from tests.factories import a_run, a_thread
from tests.integration.wire import error_of
from tests.model_server import ModelServer, fail, say
from worker.bell import Bell

ENDS = {
    RunStatus.COMPLETED: "completed_at",
    RunStatus.INCOMPLETE: "completed_at",
    RunStatus.FAILED: "failed_at",
    RunStatus.CANCELLED: "cancelled_at",
}


def test_a_run_of_each_status_shows_when_and_why_it_came_there(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    for status in RunStatus:
        run = a_run(database, caller.project_id, status=status)
        shown = http.get(f"threads/{run.thread_id}/runs/{run.id}").json()
        assert shown["status"] == status
        for name in ("completed_at", "failed_at", "cancelled_at"):
            assert isinstance(shown[name], int if name == ENDS.get(status) else type(None)), status
        assert (shown["last_error"] is not None) == (status is RunStatus.FAILED), status
        assert (shown["incomplete_details"] is not None) == (status is RunStatus.INCOMPLETE)
        assert (shown["required_action"] is not None) == (status is RunStatus.REQUIRES_ACTION)
        if status in ACTIVE:
            assert shown["usage"] is None, status
            assert shown["expires_at"] == shown["created_at"] + 600, status
        if status in (RunStatus.COMPLETED, RunStatus.INCOMPLETE, RunStatus.FAILED):
            assert shown["expires_at"] is None, status
            assert shown["usage"]["total_tokens"] == 0, status


def test_an_answered_run_shows_its_usage(
    client: OpenAI,
    database: Database,
    caller: Caller,
    worker: Bell,
    model_server: ModelServer,
) -> None:
    usage = {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    model_server.script(say("Because.", usage=usage))
    run = a_run(database, caller.project_id)
    worker.answer()
    ended = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    assert ended.status == "completed"
    assert ended.to_dict()["usage"] == {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "total_tokens": 18,
        "prompt_token_details": {"cached_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    assert ended.started_at is not None
    assert ended.completed_at is not None
    assert ended.created_at <= ended.started_at <= ended.completed_at


def test_a_failed_run_says_why(
    client: OpenAI,
    database: Database,
    caller: Caller,
    worker: Bell,
    model_server: ModelServer,
) -> None:
    model_server.script(fail(400, "no such model"))
    run = a_run(database, caller.project_id)
    worker.answer()
    ended = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    assert ended.status == "failed"
    assert ended.last_error is not None
    assert ended.last_error.code == "invalid_prompt"
    assert "no such model" in ended.last_error.message
    assert client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id).data == []
    assert len(client.beta.threads.messages.list(run.thread_id).data) == 1


def test_a_run_tells_when_to_ask_again_until_it_has_ended(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    for status in (RunStatus.QUEUED, RunStatus.IN_PROGRESS, RunStatus.CANCELLING):
        run = a_run(database, caller.project_id, status=status)
        headers = http.get(f"threads/{run.thread_id}/runs/{run.id}").headers
        assert headers["openai-poll-after-ms"].isdecimal(), status
        assert 0 < int(headers["openai-poll-after-ms"]) <= 5000, status
    for status in TERMINAL:
        run = a_run(database, caller.project_id, status=status)
        answer = http.get(f"threads/{run.thread_id}/runs/{run.id}")
        assert "openai-poll-after-ms" not in answer.headers, status


def test_a_modification_replaces_the_metadata_in_any_status_and_nothing_else(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    for status in RunStatus:
        run = a_run(database, caller.project_id, status=status, metadata={"a": "b"})
        path = f"threads/{run.thread_id}/runs/{run.id}"
        shown = http.get(path).json()
        assert shown["metadata"] == {"a": "b"}
        for change in ({"metadata": {"c": "d"}}, {}, {"metadata": {}}, {"metadata": {}}):
            shown |= change
            assert http.post(path, json=change).json() == shown, status
        assert http.get(path).json() == shown, status


def test_a_run_takes_no_other_modification(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    path = f"threads/{run.thread_id}/runs/{run.id}"
    before = http.get(path).json()
    for name, value in (("status", "completed"), ("instructions", "x"), ("model", "x")):
        error = error_of(http.post(path, json={name: value}))
        assert (error["param"], error["code"]) == (name, "unknown_parameter")
    bad: dict[str, Any] = {"modified": True}
    assert error_of(http.post(path, json={"metadata": bad})) == {
        "message": "Invalid type for 'metadata.modified': expected a string, but got a boolean"
        " instead.",
        "type": "invalid_request_error",
        "param": "metadata.modified",
        "code": "invalid_type",
    }
    assert http.get(path).json() == before


def test_an_unknown_run_or_one_of_another_thread_is_not_found(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    other = a_thread(database, caller.project_id)
    for thread_id, run_id in ((run.thread_id, "run_x"), (other.id, run.id)):
        for method, tail in (
            ("GET", ""),
            ("POST", ""),
            ("GET", "/steps"),
            ("GET", "/steps/step_x"),
        ):
            answer = http.request(method, f"threads/{thread_id}/runs/{run_id}{tail}")
            assert error_of(answer, 404) == {
                "message": f"No run found with id '{run_id}'.",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            }


def test_an_id_of_another_kind_is_a_bad_argument(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    for path, name, text, prefix in (
        (f"threads/{run.thread_id}/runs/{run.thread_id}", "run_id", run.thread_id, "run"),
        (f"threads/{run.id}/runs/{run.id}", "thread_id", run.id, "thread"),
    ):
        for method in ("GET", "POST"):
            error = error_of(http.request(method, path))
            assert (error["param"], error["code"]) == (name, "invalid_value")
            assert error["message"] == (
                f"Invalid '{name}': '{text}'. Expected an ID that begins with '{prefix}'."
            )
