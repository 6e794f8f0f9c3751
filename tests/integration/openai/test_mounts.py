"""The same calls at /v1, at the root, and on Azure's two paths."""

import httpx2
import pytest
from flask import Flask
from openai import AzureOpenAI

from api.openai.blueprints import DOCUMENTED_MOUNT, FURTHER_MOUNTS
from shared.db import Database
from tests.conftest import Caller, a_caller
from tests.factories import an_assistant
from worker.bell import Bell

PREFIXES = [DOCUMENTED_MOUNT, *FURTHER_MOUNTS.values()]


@pytest.fixture
def at_root(app: Flask) -> httpx2.Client:
    """Without a key."""
    transport = httpx2.WSGITransport(app=app, raise_app_exceptions=False)
    return httpx2.Client(transport=transport, base_url="http://treadle")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_mount_has_the_same_calls(
    at_root: httpx2.Client, caller: Caller, prefix: str
) -> None:
    at_root.headers["Authorization"] = f"Bearer {caller.secret}"
    assistant = at_root.post(f"{prefix}/assistants", json={"model": "m", "instructions": "Be."})
    thread = at_root.post(f"{prefix}/threads").json()["id"]
    message = at_root.post(
        f"{prefix}/threads/{thread}/messages", json={"role": "user", "content": "Why?"}
    )
    run = at_root.post(
        f"{prefix}/threads/{thread}/runs", json={"assistant_id": assistant.json()["id"]}
    )
    assert run.json()["status"] == "queued"
    steps = at_root.get(f"{prefix}/threads/{thread}/runs/{run.json()['id']}/steps")
    assert steps.json()["data"] == []
    listed = at_root.get(f"/v1/threads/{thread}/messages").json()["data"]
    assert [one["id"] for one in listed] == [message.json()["id"]]
    assert at_root.get(f"{prefix}/models").json()["object"] == "list"


def test_every_mount_has_every_route(app: Flask) -> None:
    rules = {(rule.rule, *sorted(rule.methods or ())) for rule in app.url_map.iter_rules()}
    documented = [rule for rule in rules if rule[0].startswith("/v1/")]
    assert documented
    for path, *methods in documented:
        for prefix in FURTHER_MOUNTS.values():
            assert (prefix + path.removeprefix("/v1"), *methods) in rules


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_mount_refuses_alike(at_root: httpx2.Client, caller: Caller, prefix: str) -> None:
    assert at_root.get(f"{prefix}/assistants").status_code == 401
    wrong = at_root.get(f"{prefix}/assistants", headers={"api-key": "tr-wrong"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_api_key")
    unknown = at_root.get(f"{prefix}/nothing")
    assert unknown.status_code == 404
    assert unknown.json()["error"]["message"] == f"Invalid URL (GET {prefix}/nothing)"
    method = at_root.put(f"{prefix}/assistants")
    assert method.status_code == 405
    assert f"Not allowed to PUT on {prefix}/assistants." in method.json()["error"]["message"]
    at_root.headers["api-key"] = caller.secret
    prefixed = at_root.get(f"{prefix}/threads/undefined").json()["error"]
    assert prefixed["message"] == (
        "Invalid 'thread_id': 'undefined'. Expected an ID that begins with 'thread'."
    )


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
def test_the_root_mount_hides_nothing(at_root: httpx2.Client, path: str) -> None:
    assert at_root.get(path).status_code == 200


def test_the_bearer_goes_before_the_api_key(
    at_root: httpx2.Client, database: Database, caller: Caller
) -> None:
    assistant = an_assistant(database, caller.project_id)
    other = a_caller(database, "other")

    def get(authorization: str, api_key: str) -> int:
        headers = {"Authorization": authorization, "api-key": api_key}
        return at_root.get(f"/v1/assistants/{assistant.id}", headers=headers).status_code

    assert get(f"Bearer {caller.secret}", other.secret) == 200
    assert get(f"Bearer {other.secret}", caller.secret) == 404
    assert get("Bearer tr-wrong", caller.secret) == 401
    assert get("Basic abc", caller.secret) == 200
    assert get("Bearer ", caller.secret) == 200


def test_azures_client_has_its_question_answered(app: Flask, caller: Caller, worker: Bell) -> None:
    with AzureOpenAI(
        azure_endpoint="http://treadle",
        api_key=caller.secret,
        api_version="2024-05-01-preview",
        max_retries=0,
        _strict_response_validation=True,
        http_client=httpx2.Client(transport=httpx2.WSGITransport(app=app)),
    ) as client:
        assistant = client.beta.assistants.create(model="deployment", instructions="Be brief.")
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Why?"}])
        run = client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
        worker.answer()
        assert client.beta.threads.runs.retrieve(run.id, thread_id=thread.id).status == "completed"
        answer = client.beta.threads.messages.list(thread.id).data[0].content[0]
        assert answer.type == "text"
        assert answer.text.value == "You said: Why?"
        assert [model.id for model in client.models.list()] == ["scripted"]
