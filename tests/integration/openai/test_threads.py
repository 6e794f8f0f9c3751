"""/threads"""

from typing import Any

import httpx2
import pytest
from openai import NotFoundError, OpenAI

from shared.db import Database
from shared.run_state import RunStatus
from tests.conftest import Caller
from tests.factories import a_run, a_thread
from tests.integration.wire import a_world, error_of

BAD: list[tuple[dict[str, Any], str, str | None, str | None]] = [
    ({"metadata": "x"}, "metadata", "invalid_type", "Invalid type for 'metadata': expected an object, but got a string instead."),
    ({"metadata": {"modified": True}}, "metadata.modified", "invalid_type", "Invalid type for 'metadata.modified': expected a string, but got a boolean instead."),
    ({"tool_resources": {"code_interpreter": {"file_ids": ["x"]}}}, "tool_resources.code_interpreter.file_ids[0]", "invalid_value", "Invalid 'tool_resources.code_interpreter.file_ids[0]': 'x'. Expected an ID that begins with 'file'."),
    ({"tool_resources": {"code_interpreter": {"file_ids": ["file-x"] * 21}}}, "tool_resources.code_interpreter.file_ids", "array_above_max_length", None),
    ({"name": "x"}, "name", "unknown_parameter", "Unknown parameter: 'name'."),
]  # fmt: skip

BAD_MESSAGES: list[tuple[Any, str, str, str | None]] = [
    (None, "messages", "invalid_type", None),
    ({}, "messages", "invalid_type", "Invalid type for 'messages': expected an array, but got an object instead."),
    (["Why?"], "messages[0]", "invalid_type", "Invalid type for 'messages[0]': expected an object, but got a string instead."),
    ([{"role": "user"}], "messages[0].content", "missing_required_parameter", "Missing required parameter: 'messages[0].content'."),
    ([{"role": "user", "content": "x"}, {"role": "system", "content": "x"}], "messages[1].role", "invalid_value", "Invalid value: 'system'. Supported values are: 'user' and 'assistant'."),
    ([{"role": "user", "content": "x", "file_ids": []}], "messages[0].file_ids", "unknown_parameter", "Unknown parameter: 'messages[0].file_ids'."),
    ([{"role": "user", "content": "x", "attachments": [{"file_id": "file-x"}]}], "messages[0].attachments[0].tools", "missing_required_parameter", "Missing required parameter: 'messages[0].attachments[0].tools'."),
]  # fmt: skip


def test_a_thread_needs_nothing(http: httpx2.Client) -> None:
    for empty in ({}, {"content": b"{}"}, {"json": {"messages": [], "metadata": None}}):
        made = http.post("threads", **empty).json()
        assert made.pop("id").startswith("thread_")
        assert isinstance(made.pop("created_at"), int)
        assert made == {"object": "thread", "tool_resources": {}, "metadata": {}}


def test_a_thread_begins_with_the_messages_given(client: OpenAI) -> None:
    thread = client.beta.threads.create(
        messages=[
            {"role": "user", "content": "first", "metadata": {"n": "1"}},
            {"role": "assistant", "content": "second"},
            {"role": "user", "content": [{"type": "text", "text": "third"}]},
        ],
        metadata={"a": "b"},
        tool_resources={"code_interpreter": {"file_ids": []}},
    )
    assert thread.metadata == {"a": "b"}
    assert thread.to_dict()["tool_resources"] == {"code_interpreter": {"file_ids": []}}
    assert client.beta.threads.retrieve(thread.id) == thread
    said = client.beta.threads.messages.list(thread.id, order="asc").data
    assert [message.to_dict()["content"][0]["text"]["value"] for message in said] == [
        "first",
        "second",
        "third",
    ]
    assert [message.role for message in said] == ["user", "assistant", "user"]
    assert said[0].metadata == {"n": "1"}
    assert all(message.run_id is message.assistant_id is None for message in said)


def test_a_bad_message_makes_no_thread(http: httpx2.Client, database: Database) -> None:
    for value, param, code, message in BAD_MESSAGES:
        error = error_of(http.post("threads", json={"messages": value}))
        assert (error["param"], error["code"]) == (param, code), value
        assert message in (None, error["message"]), (value, error)
    with database.autocommit() as tx:
        assert tx.value("SELECT count(*) FROM threads") == 0


def test_a_bad_argument_is_refused_by_its_name(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    made = a_thread(database, caller.project_id)
    for body, param, code, message in BAD:
        for path in ("threads", f"threads/{made.id}"):
            error = error_of(http.post(path, json=body))
            assert (error["param"], error["code"]) == (param, code), body
            assert message in (None, error["message"]), (body, error)
    error = error_of(http.post(f"threads/{made.id}", json={"messages": []}))
    assert (error["param"], error["code"]) == ("messages", "unknown_parameter")


def test_a_modification_changes_what_it_names_and_nothing_else(client: OpenAI) -> None:
    made = client.beta.threads.create(
        metadata={"a": "b", "c": "d"}, tool_resources={"file_search": {"vector_store_ids": []}}
    )
    shown = made.to_dict()
    changes: list[dict[str, Any]] = [
        {"metadata": {"a": "changed"}},
        {"tool_resources": {"code_interpreter": {"file_ids": []}}},
        {"metadata": {}},
        {},
    ]
    for change in changes:
        shown |= change
        assert client.beta.threads.update(made.id, **change).to_dict() == shown, change
    assert client.beta.threads.retrieve(made.id).to_dict() == shown


def test_files_that_do_not_exist_are_not_found(http: httpx2.Client, database: Database) -> None:
    made = http.post("threads").json()
    body = {"tool_resources": {"code_interpreter": {"file_ids": ["file-x"]}}}
    for path in ("threads", f"threads/{made['id']}"):
        error = error_of(http.post(path, json=body), 404)
        assert (error["param"], error["message"]) == ("id", "No such File object: file-x")
    assert http.get(f"threads/{made['id']}").json() == made
    with database.autocommit() as tx:
        assert tx.value("SELECT count(*) FROM threads") == 1


def test_a_deleted_thread_takes_messages_runs_and_steps_along(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    world = a_world(database, caller.project_id)
    thread_id, run_id = world["thread_id"], world["run_id"]
    deleted = client.beta.threads.delete(thread_id)
    assert deleted.to_dict() == {"id": thread_id, "object": "thread.deleted", "deleted": True}
    threads = client.beta.threads
    for gone in (
        lambda: threads.retrieve(thread_id),
        lambda: threads.update(thread_id, metadata={}),
        lambda: threads.delete(thread_id),
        lambda: threads.messages.list(thread_id),
        lambda: threads.messages.create(thread_id, role="user", content="x"),
        lambda: threads.messages.retrieve(world["message_id"], thread_id=thread_id),
        lambda: threads.runs.list(thread_id),
        lambda: threads.runs.create(thread_id, assistant_id=world["assistant_id"]),
        lambda: threads.runs.retrieve(run_id, thread_id=thread_id),
        lambda: threads.runs.steps.list(run_id, thread_id=thread_id),
        lambda: threads.runs.steps.retrieve(world["step_id"], thread_id=thread_id, run_id=run_id),
    ):
        with pytest.raises(NotFoundError):
            gone()
    with database.autocommit() as tx:
        assert tx.value("SELECT count(*) FROM messages") == 0
        assert tx.value("SELECT count(*) FROM runs") == 0
        assert tx.value("SELECT count(*) FROM run_steps") == 0


def test_a_thread_can_be_deleted_while_a_run_is_active(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    for status in (RunStatus.QUEUED, RunStatus.IN_PROGRESS):
        run = a_run(database, caller.project_id, status=status)
        assert client.beta.threads.delete(run.thread_id).deleted
        with pytest.raises(NotFoundError):
            client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)


def test_an_unknown_thread_is_not_found(http: httpx2.Client) -> None:
    for method, path, body in (
        ("GET", "threads/thread_x", None),
        ("POST", "threads/thread_x", {"metadata": {}}),
        ("DELETE", "threads/thread_x", None),
        ("GET", "threads/thread_x/messages", None),
        ("POST", "threads/thread_x/messages", {"role": "user", "content": "x"}),
        ("GET", "threads/thread_x/runs", None),
    ):
        error = error_of(http.request(method, path, json=body), 404)
        assert error == {
            "message": "No thread found with id 'thread_x'.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }, (method, path)


def test_an_id_of_another_kind_is_a_bad_argument(http: httpx2.Client) -> None:
    for method in ("GET", "POST", "DELETE"):
        error = error_of(http.request(method, "threads/undefined"))
        assert (error["param"], error["code"]) == ("thread_id", "invalid_value")
        assert error["message"] == (
            "Invalid 'thread_id': 'undefined'. Expected an ID that begins with 'thread'."
        )
