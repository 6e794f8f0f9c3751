"""Pictures in messages: a model is shown those it can fetch, and a file that it cannot be shown
fails the run and says so."""

from typing import Any

import httpx2
import pytest
from openai import OpenAI

from shared.db import Database
from tests.conftest import Caller
from tests.factories import an_assistant
from tests.model_server import ModelServer
from worker.bell import Bell

HERE = "https://example.org/a.png"
DATA = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture
def assistant_id(database: Database, caller: Caller) -> str:
    return an_assistant(database, caller.project_id).id


def test_pictures_reach_the_model_among_the_text_in_their_order_and_detail(
    client: OpenAI, assistant_id: str, worker: Bell, model_server: ModelServer
) -> None:
    content: Any = [
        {"type": "text", "text": "Compare"},
        {"type": "image_url", "image_url": {"url": HERE, "detail": "low"}},
        {"type": "text", "text": "with"},
        {"type": "image_url", "image_url": {"url": DATA, "detail": "high"}},
        {"type": "image_url", "image_url": {"url": HERE}},
    ]
    thread: Any = {"messages": [{"role": "user", "content": content}]}
    run = client.beta.threads.create_and_run(assistant_id=assistant_id, thread=thread)
    (message,) = client.beta.threads.messages.list(run.thread_id).data
    shown = [part.to_dict() for part in message.content]
    assert [part["type"] for part in shown] == [part["type"] for part in content]
    assert [part["image_url"] for part in shown if part["type"] == "image_url"] == [
        {"url": HERE, "detail": "low"},
        {"url": DATA, "detail": "high"},
        {"url": HERE, "detail": "auto"},
    ]
    worker.answer()
    (asked,) = model_server.requests
    assert asked["messages"][1] == {
        "role": "user",
        "content": [
            *content[:4],
            {"type": "image_url", "image_url": {"url": HERE, "detail": "auto"}},
        ],
    }
    ended = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    assert ended.status == "completed"


def test_a_picture_in_a_file_fails_the_run_with_its_reason_and_asks_no_model(
    client: OpenAI, assistant_id: str, worker: Bell, model_server: ModelServer
) -> None:
    content: Any = [{"type": "image_file", "image_file": {"file_id": "file-1", "detail": "low"}}]
    thread: Any = {"messages": [{"role": "user", "content": content}]}
    run = client.beta.threads.create_and_run(assistant_id=assistant_id, thread=thread)
    worker.answer()
    ended = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    assert ended.status == "failed"
    assert ended.last_error is not None
    assert ended.last_error.code == "invalid_prompt"
    assert ended.last_error.message == (
        "A message of this thread holds an image_file part, and this version of Treadle cannot"
        " show files to a model yet."
    )
    assert model_server.asked() == 0
    # The thread goes on.
    client.beta.threads.messages.create(run.thread_id, role="user", content="And without?")


def test_what_is_no_picture_is_refused(http: httpx2.Client) -> None:
    for part, param, message in (
        (
            {"type": "image_url", "image_url": {"url": HERE, "detail": "best"}},
            "content[0].image_url.detail",
            "Invalid value: 'best'. Supported values are: 'auto', 'low', and 'high'.",
        ),
        (
            {"type": "image_url", "image_url": HERE},
            "content[0].image_url",
            "Invalid type for 'content[0].image_url': expected an object, but got a string instead.",
        ),
        (
            {"type": "image_file", "image_file": {"file_id": HERE}},
            "content[0].image_file.file_id",
            f"Invalid 'content[0].image_file.file_id': '{HERE}'."
            " Expected an ID that begins with 'file'.",
        ),
    ):
        thread = http.post("threads", json={}).json()["id"]
        answer = http.post(f"threads/{thread}/messages", json={"role": "user", "content": [part]})
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["param"], error["message"]) == (param, message)
