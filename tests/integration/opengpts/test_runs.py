"""/opengpts/runs, and what is not there"""

from typing import Any

import httpx2
import pytest
from flask import Flask

from shared.db import Database
from shared.settings import Settings
from tests.conftest import Caller, client_as
from tests.integration.opengpts.conftest import User, a_thread, an_assistant, human, said_in
from tests.model_server import ModelServer
from worker.bell import Bell

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def a_body(user: httpx2.Client, *texts: str) -> dict[str, Any]:
    assistant_id = an_assistant(user)["assistant_id"]
    thread_id = a_thread(user, assistant_id, *texts)["thread_id"]
    return {"assistant_id": assistant_id, "thread_id": thread_id, "input": {"messages": []}}


def test_the_answer_appears_in_the_thread(
    foo: httpx2.Client, worker: Bell, model_server: ModelServer
) -> None:
    body = a_body(foo, "hi! my name is bob")
    answer = foo.post("runs", json=body)
    assert (answer.status_code, answer.text) == (200, '{"status":"ok"}')
    worker.answer()
    _, said = said_in(foo, body["thread_id"])
    text = "You said: hi! my name is bob"
    finish = {"return_values": {"output": text}, "log": text, "type": "AgentFinish"}
    assert said == {
        "content": text,
        "additional_kwargs": {"agent": finish},
        "type": "ai",
        "example": False,
    }
    body["input"]["messages"] = [human("whats my name?")]
    assert foo.post("runs", json=body).json() == {"status": "ok"}
    assert [one["type"] for one in said_in(foo, body["thread_id"])] == ["human", "ai", "human"]
    worker.answer()
    assert said_in(foo, body["thread_id"])[-1]["content"] == "You said: whats my name?"
    assert [one["role"] for one in model_server.requests[-1]["messages"]] == [
        "system",
        "user",
        "assistant",
        "user",
    ]


def test_a_run_is_an_ordinary_run_on_the_other_wire(
    foo: httpx2.Client, app: Flask, caller: Caller, database: Database, worker: Bell
) -> None:
    foo.post("runs", json=a_body(foo, "Why?"))
    worker.answer()
    with database.autocommit() as tx:
        thread_id = tx.value("SELECT thread_id FROM opengpts_threads")
    client = client_as(app, caller.secret)
    (run,) = client.beta.threads.runs.list(thread_id).data
    (assistant,) = client.beta.assistants.list().data
    assert (run.status, run.model, run.assistant_id) == ("completed", "gpt-4o", assistant.id)


def test_a_thread_without_messages_may_run(foo: httpx2.Client, worker: Bell) -> None:
    body = a_body(foo)
    assert foo.post("runs", json=body).status_code == 200


def test_anybody_may_run_a_public_assistant_in_a_thread_of_theirs(
    foo: httpx2.Client, user: User, worker: Bell
) -> None:
    body = a_body(foo)
    hidden = an_assistant(foo, public=False)["assistant_id"]
    other = user("other")
    mine = {**body, "thread_id": a_thread(other, "", "Why?")["thread_id"]}
    answer = other.post("runs", json={**mine, "assistant_id": hidden})
    assert (answer.status_code, answer.json()) == (404, {"detail": "Assistant not found"})
    assert other.post("runs", json=mine).status_code == 200
    worker.answer()
    assert said_in(other, mine["thread_id"])[-1]["content"] == "You said: Why?"


@pytest.mark.parametrize("path", ["runs", "runs/stream"])
def test_what_is_not_known_cannot_run(foo: httpx2.Client, path: str) -> None:
    body = a_body(foo)
    for name, noun in (("assistant_id", "Assistant"), ("thread_id", "Thread")):
        answer = foo.post(path, json={**body, name: UNKNOWN})
        assert (answer.status_code, answer.json()) == (404, {"detail": f"{noun} not found"})


@pytest.mark.parametrize("path", ["runs", "runs/stream"])
def test_a_body_that_does_not_fit_is_refused(foo: httpx2.Client, path: str) -> None:
    body = a_body(foo, "Why?")
    for wrong, loc, kind in (
        ({"input": None}, ["input"], "type_error.none.not_allowed"),
        ({"input": []}, ["input"], "type_error.dict"),
        ({"input": {"messages": "Why?"}}, ["input", "messages"], "type_error.sequence"),
        ({"input": {"messages": [{}]}}, ["input", "messages", 0, "type"], "value_error.missing"),
        ({"thread_id": 7}, ["thread_id"], "type_error.str"),
        ({"assistant_id": "a/b"}, ["assistant_id"], "type_error.uuid"),
    ):
        answer = foo.post(path, json={**body, **wrong})
        assert answer.status_code == 422, wrong
        detail = answer.json()["detail"][0]
        assert (detail["loc"], detail["type"]) == (["body", *loc], kind)
    answer = foo.post(path, json={})
    assert [detail["loc"][1] for detail in answer.json()["detail"]] == [
        "assistant_id",
        "thread_id",
        "input",
    ]
    assert foo.post("runs", json={**body, "input": {}}).status_code == 200


@pytest.mark.parametrize("name", ["input_schema", "output_schema", "config_schema"])
def test_schemas_say_what_goes_in_and_out(foo: httpx2.Client, name: str) -> None:
    schema = foo.get(f"runs/{name}").json()
    assert schema["type"] == "object"
    assert schema["properties"].keys() <= {"messages", "configurable"}


def test_health_asks_for_nothing(user: User) -> None:
    nobody = user("", "tr-wrong")
    assert nobody.get("ok").json() == {"ok": True}
    assert nobody.get("health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "nothing", 404, "Not Found"),
        ("GET", "runs/x/y", 404, "Not Found"),
        ("DELETE", "assistants/x", 405, "Method Not Allowed"),
        ("GET", "runs", 405, "Method Not Allowed"),
    ],
)
def test_what_is_not_there_is_told_in_this_dialect(
    foo: httpx2.Client, method: str, path: str, status: int, detail: str
) -> None:
    answer = foo.request(method, path)
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


def test_a_body_that_is_too_large_is_told_in_this_dialect(
    foo: httpx2.Client, settings: Settings
) -> None:
    answer = foo.put("assistants", json={"name": "x" * settings.body_bytes})
    assert (answer.status_code, answer.json()) == (413, {"detail": "Request Entity Too Large"})


def test_while_postgresql_is_away_a_repeat_is_asked_for(
    foo: httpx2.Client, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    foo.get("assistants/")
    monkeypatch.setattr("shared.db._UNREACHED_SECONDS", 0.1)
    monkeypatch.setattr("shared.db._CROWDED_SECONDS", 0.1)
    app.extensions["treadle"].database.close()
    answer = foo.get("assistants/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json() == {"detail": "PostgreSQL cannot answer now."}
