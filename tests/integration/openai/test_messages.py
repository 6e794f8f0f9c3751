"""/threads/{thread_id}/messages: create, retrieve, modify, delete."""

from typing import Any

import httpx2
import pytest
from openai import NotFoundError, OpenAI

from shared.db import Database
from shared.run_state import ACTIVE, TERMINAL
from tests.conftest import Caller
from tests.factories import a_file, a_run, a_thread
from tests.integration.wire import a_world, error_of

PARTS_IN: list[dict[str, Any]] = [
    {"type": "text", "text": "Look:"},
    {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    {"type": "image_url", "image_url": {"url": "https://example.org/b.png", "detail": "high"}},
    {"type": "image_file", "image_file": {"file_id": "file-abc"}},
    {"type": "image_file", "image_file": {"file_id": "file-abc", "detail": "low"}},
]
PARTS_OUT: list[dict[str, Any]] = [
    {"type": "text", "text": {"value": "Look:", "annotations": []}},
    {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "auto"}},
    {"type": "image_url", "image_url": {"url": "https://example.org/b.png", "detail": "high"}},
    {"type": "image_file", "image_file": {"file_id": "file-abc", "detail": "auto"}},
    {"type": "image_file", "image_file": {"file_id": "file-abc", "detail": "low"}},
]

BAD: list[tuple[dict[str, Any], str, str | None, str | None]] = [
    ({"role": None}, "role", "invalid_type", None),
    ({"role": "human"}, "role", "invalid_value", "Invalid value: 'human'. Supported values are: 'user' and 'assistant'."),
    ({"content": None}, "content", "invalid_type", None),
    ({"content": 5}, "content", "invalid_type", None),
    ({"content": ""}, "content", None, None),
    ({"content": []}, "content", None, None),
    ({"content": "x" * 256_001}, "content", "string_above_max_length", "Invalid 'content': string too long. Expected a string with maximum length 256000, but got a string with length 256001 instead."),
    ({"content": ["x"]}, "content[0]", "invalid_type", None),
    ({"content": [{}]}, "content[0].type", "missing_required_parameter", "Missing required parameter: 'content[0].type'."),
    ({"content": [{"type": "video"}]}, "content[0].type", "invalid_value", "Invalid value: 'video'. Supported values are: 'text', 'image_url', and 'image_file'."),
    ({"content": [{"type": "text"}]}, "content[0].text", "missing_required_parameter", None),
    ({"content": [{"type": "text", "text": {"value": "x"}}]}, "content[0].text", "invalid_type", "Invalid type for 'content[0].text': expected a string, but got an object instead."),
    ({"content": [{"type": "text", "text": "x" * 256_001}]}, "content[0].text", "string_above_max_length", None),
    ({"content": [{"type": "image_url", "image_url": "https://example.org"}]}, "content[0].image_url", "invalid_type", None),
    ({"content": [{"type": "image_url", "image_url": {"url": "x", "detail": "8k"}}]}, "content[0].image_url.detail", "invalid_value", None),
    ({"content": [{"type": "image_file", "image_file": {"file_id": "x"}}]}, "content[0].image_file.file_id", "invalid_value", "Invalid 'content[0].image_file.file_id': 'x'. Expected an ID that begins with 'file'."),
    ({"content": [{"type": "text", "text": "x", "annotations": []}]}, "content[0].annotations", "unknown_parameter", None),
    ({"attachments": {}}, "attachments", "invalid_type", None),
    ({"attachments": [{"tools": []}]}, "attachments[0].file_id", "missing_required_parameter", None),
    ({"attachments": [{"file_id": "file-x"}]}, "attachments[0].tools", "missing_required_parameter", "Missing required parameter: 'attachments[0].tools'."),
    ({"attachments": [{"file_id": "file-x", "tools": [{"type": "function"}]}]}, "attachments[0].tools[0].type", "invalid_value", None),
    ({"attachments": [{"file_id": "file-x", "tools": [{"type": "file_search", "file_search": {}}]}]}, "attachments[0].tools[0].file_search", "unknown_parameter", "Unknown parameter: 'attachments[0].tools[0].file_search'."),
    ({"file_ids": []}, "file_ids", "unknown_parameter", "Unknown parameter: 'file_ids'."),
    ({"metadata": {"a": 1}}, "metadata.a", "invalid_type", None),
]  # fmt: skip


def test_a_string_becomes_one_text_part(http: httpx2.Client) -> None:
    thread_id = http.post("threads").json()["id"]
    path = f"threads/{thread_id}/messages"
    made = http.post(path, json={"role": "user", "content": "Why?", "metadata": {"a": "b"}}).json()
    assert http.get(f"{path}/{made['id']}").json() == made
    assert made.pop("id").startswith("msg_")
    assert isinstance(made.pop("created_at"), int)
    assert isinstance(made.pop("completed_at"), int | None)
    assert made == {
        "object": "thread.message",
        "thread_id": thread_id,
        "status": "completed",
        "incomplete_details": None,
        "incomplete_at": None,
        "role": "user",
        "content": [{"type": "text", "text": {"value": "Why?", "annotations": []}}],
        "assistant_id": None,
        "run_id": None,
        "attachments": [],
        "metadata": {"a": "b"},
    }


def test_parts_are_kept_in_order_with_the_wires_defaults(client: OpenAI) -> None:
    thread = client.beta.threads.create()
    made = client.beta.threads.messages.create(thread.id, role="user", content=PARTS_IN)
    assert made.to_dict()["content"] == PARTS_OUT
    assert client.beta.threads.messages.retrieve(made.id, thread_id=thread.id) == made


def test_attachments_are_shown_as_given_the_same_file_twice_too(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    thread = client.beta.threads.create()
    file_id = a_file(database, caller.project_id).id
    attachments: list[dict[str, Any]] = [
        {"file_id": file_id, "tools": [{"type": "file_search"}]},
        {"file_id": file_id, "tools": [{"type": "code_interpreter"}, {"type": "file_search"}]},
    ]
    made = client.beta.threads.messages.create(
        thread.id,
        role="user",
        content="x",
        attachments=attachments,
    )
    assert made.to_dict()["attachments"] == attachments
    listed = client.beta.threads.messages.list(thread.id).data
    assert listed == [made]


def test_a_caller_may_speak_for_the_assistant(client: OpenAI) -> None:
    thread = client.beta.threads.create()
    made = client.beta.threads.messages.create(thread.id, role="assistant", content="Because.")
    assert made.role == "assistant"
    assert made.assistant_id is made.run_id is None


def test_the_longest_content_is_accepted_and_kept(client: OpenAI) -> None:
    thread = client.beta.threads.create()
    longest = "𝄞" * 256_000
    made = client.beta.threads.messages.create(thread.id, role="user", content=longest)
    kept = client.beta.threads.messages.retrieve(made.id, thread_id=thread.id)
    assert kept.to_dict()["content"][0]["text"]["value"] == longest


def test_the_same_message_twice_is_two_messages(client: OpenAI) -> None:
    thread = client.beta.threads.create()
    for _ in range(2):
        client.beta.threads.messages.create(thread.id, role="user", content="Why?")
    assert len(client.beta.threads.messages.list(thread.id).data) == 2


def test_a_bad_argument_is_refused_by_its_name(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    path = f"threads/{a_thread(database, caller.project_id).id}/messages"
    for change, param, code, message in BAD:
        error = error_of(http.post(path, json={"role": "user", "content": "x", **change}))
        assert error["param"] == param, change
        assert code in (None, error["code"]), (change, error)
        assert message in (None, error["message"]), (change, error)
    for absent in ("role", "content"):
        body = {"role": "user", "content": "x"}
        del body[absent]
        error = error_of(http.post(path, json=body))
        assert error["message"] == f"Missing required parameter: '{absent}'."
    assert http.get(path).json()["data"] == []


def test_a_busy_thread_takes_no_message_in_any_active_status(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    for status in sorted(ACTIVE):
        run = a_run(database, caller.project_id, status=status)
        path = f"threads/{run.thread_id}/messages"
        for role in ("user", "assistant"):
            error = error_of(http.post(path, json={"role": role, "content": "x"}))
            assert error == {
                "message": f"Can't add messages to {run.thread_id} while a run {run.id} is active.",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            }, status
        assert len(http.get(path).json()["data"]) == 1


def test_a_thread_whose_run_has_ended_takes_messages_again(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    for status in sorted(TERMINAL):
        run = a_run(database, caller.project_id, status=status)
        path = f"threads/{run.thread_id}/messages"
        answer = http.post(path, json={"role": "user", "content": "x"})
        assert answer.status_code == 200, status


def test_a_modification_replaces_the_metadata_and_nothing_else(client: OpenAI) -> None:
    thread = client.beta.threads.create()
    messages = client.beta.threads.messages
    made = messages.create(thread.id, role="user", content="Why?", metadata={"a": "b", "c": "d"})
    shown = made.to_dict()
    for change in ({"metadata": {"modified": "yes"}}, {}, {"metadata": {}}, {"metadata": {}}):
        shown |= change
        assert messages.update(made.id, thread_id=thread.id, **change).to_dict() == shown, change
    assert messages.retrieve(made.id, thread_id=thread.id).to_dict() == shown


def test_a_message_takes_no_other_modification(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    world = a_world(database, caller.project_id)
    path = f"threads/{world['thread_id']}/messages/{world['message_id']}"
    before = http.get(path).json()
    for name, value in (("content", "other"), ("role", "user"), ("attachments", [])):
        error = error_of(http.post(path, json={name: value}))
        assert (error["param"], error["code"]) == (name, "unknown_parameter")
    assert error_of(http.post(path, json={"metadata": {"modified": True}})) == {
        "message": "Invalid type for 'metadata.modified': expected a string, but got a boolean"
        " instead.",
        "type": "invalid_request_error",
        "param": "metadata.modified",
        "code": "invalid_type",
    }
    assert http.get(path).json() == before


def test_a_deleted_message_is_gone_and_the_others_stay(client: OpenAI) -> None:
    thread = client.beta.threads.create(
        messages=[{"role": "user", "content": text} for text in ("a", "b", "c")]
    )
    messages = client.beta.threads.messages
    first, middle, last = messages.list(thread.id, order="asc").data
    deleted = messages.delete(middle.id, thread_id=thread.id)
    assert deleted.to_dict() == {
        "id": middle.id,
        "object": "thread.message.deleted",
        "deleted": True,
    }
    assert messages.list(thread.id, order="asc").data == [first, last]
    for use in (messages.retrieve, messages.update, messages.delete):
        with pytest.raises(NotFoundError, match=f"No message found with id '{middle.id}'"):
            use(middle.id, thread_id=thread.id)


def test_an_unknown_message_or_one_of_another_thread_is_not_found(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    world = a_world(database, caller.project_id)
    other = a_thread(database, caller.project_id, "x")
    for thread_id, message_id in (
        (world["thread_id"], "msg_x"),
        (other.id, world["message_id"]),
    ):
        for method in ("GET", "POST", "DELETE"):
            answer = http.request(method, f"threads/{thread_id}/messages/{message_id}")
            message = f"No message found with id '{message_id}'."
            assert error_of(answer, 404)["message"] == message, (method, message_id)
    assert http.get(f"threads/{world['thread_id']}/messages").json()["data"]


def test_an_id_of_another_kind_is_a_bad_argument(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    thread = a_thread(database, caller.project_id)
    for method in ("GET", "POST", "DELETE"):
        error = error_of(http.request(method, f"threads/{thread.id}/messages/run_x"))
        assert (error["param"], error["code"]) == ("message_id", "invalid_value")
        assert error["message"] == (
            "Invalid 'message_id': 'run_x'. Expected an ID that begins with 'msg'."
        )
