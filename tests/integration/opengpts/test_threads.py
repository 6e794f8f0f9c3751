"""/opengpts/threads"""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from flask import Flask

from shared.db import Database
from tests.conftest import Caller, client_as
from tests.integration.opengpts.conftest import a_thread, an_assistant, human, missing, said_in

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def test_a_thread_is_made_for_an_assistant_that_nobody_looks_for(foo: httpx2.Client) -> None:
    answer = foo.post("threads", json={"name": "hi", "assistant_id": UNKNOWN})
    made = answer.json()
    assert answer.status_code == 200
    assert list(made) == ["thread_id", "assistant_id", "name", "updated_at", "user_id"]
    assert str(UUID(made["thread_id"])) == made["thread_id"]
    assert (made["assistant_id"], made["name"], made["user_id"]) == (UNKNOWN, "hi", "foo")
    assert datetime.fromisoformat(made["updated_at"]).tzinfo is None
    assert foo.get(f"threads/{made['thread_id']}").json() == made
    assert foo.get("threads/").json() == foo.get("threads").json() == [made]
    assert foo.get(f"threads/{made['thread_id']}/messages").text == '{"messages":[]}'


def test_a_thread_is_put_under_the_clients_id_and_keeps_its_messages_when_put_again(
    foo: httpx2.Client,
) -> None:
    id_ = str(uuid4())
    body = {"name": "hi", "assistant_id": UNKNOWN}
    assert foo.put(f"threads/{id_}", json=body).json()["thread_id"] == id_
    foo.post(f"threads/{id_}/messages", json={"messages": [human("Why?")]})
    assert foo.put(f"threads/{id_}", json={**body, "name": "ho"}).json()["name"] == "ho"
    assert [thread["name"] for thread in foo.get("threads/").json()] == ["ho"]
    assert len(said_in(foo, id_)) == 1


def test_messages_are_added_and_shown_as_they_were_said(
    foo: httpx2.Client, app: Flask, caller: Caller, database: Database
) -> None:
    id_ = a_thread(foo)["thread_id"]
    path = f"threads/{id_}/messages"
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    answer = foo.post(
        path,
        json={
            "messages": [
                {"content": "hi! my name is bob", "type": "human"},
                {"content": "Hello", "type": "ai", "additional_kwargs": {"a": 1}, "id": "x"},
                {"content": ["See", {"type": "text", "text": "this"}, image], "type": "human"},
                {"content": "", "type": "human", "example": True},
            ]
        },
    )
    assert (answer.status_code, answer.text) == (200, "null")
    assert foo.get(path).text.startswith(
        '{"messages":[{"content":"hi! my name is bob","additional_kwargs":{},"type":"human",'
        '"example":false},{"content":"Hello","additional_kwargs":{},"type":"ai","example":false},'
    )
    pictured, empty = said_in(foo, id_)[2:]
    assert pictured["content"] == [
        {"type": "text", "text": "See"},
        {"type": "text", "text": "this"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "auto"}},
    ]
    assert empty["content"] == ""


def test_a_thread_that_is_not_known_has_no_messages_and_takes_none(foo: httpx2.Client) -> None:
    assert said_in(foo, UNKNOWN) == []
    answer = foo.post(f"threads/{UNKNOWN}/messages", json={"messages": [human("x")]})
    assert (answer.status_code, answer.json()) == (404, {"detail": "Thread not found"})
    for path in ("", "/state", "/history"):
        answer = foo.get(f"threads/{UNKNOWN}{path}")
        assert (answer.status_code, answer.json()) == (404, {"detail": "Thread not found"})


def test_the_later_reads_show_the_newest_state(foo: httpx2.Client) -> None:
    id_ = a_thread(foo, UNKNOWN, "Why?")["thread_id"]
    values = {"messages": said_in(foo, id_)}
    assert foo.get(f"threads/{id_}/state").json() == {"values": values, "next": []}
    (state,) = foo.get(f"threads/{id_}/history").json()
    assert state["values"] == values
    assert (state["next"], state["parent"]) == ([], None)
    assert state["config"] == {"configurable": {"thread_id": id_}}


def test_no_message_is_added_while_a_run_is_active(
    foo: httpx2.Client, app: Flask, caller: Caller
) -> None:
    assistant_id = an_assistant(foo)["assistant_id"]
    id_ = a_thread(foo, assistant_id, "Why?")["thread_id"]
    run = {"assistant_id": assistant_id, "thread_id": id_, "input": {"messages": []}}
    assert foo.post("runs", json=run).json() == {"status": "ok"}
    for answer in (
        foo.post(f"threads/{id_}/messages", json={"messages": [human("a"), human("b")]}),
        foo.post("runs", json={**run, "input": {"messages": [human("a")]}}),
        foo.post("runs/stream", json=run),
    ):
        assert answer.status_code == 409
        assert "run_" in answer.json()["detail"]
    assert len(said_in(foo, id_)) == 1


@pytest.mark.parametrize(
    ("body", "locs"),
    [
        ({}, [missing("body", "name"), missing("body", "assistant_id")]),
        ({"name": "hi", "assistant_id": None}, [["body", "assistant_id"]]),
        ({"name": [], "assistant_id": 7}, [["body", "name"], ["body", "assistant_id"]]),
        ({"name": "hi", "assistant_id": "a\0"}, [["body", "assistant_id"]]),
        ({"name": "hi", "assistant_id": "x" * 201}, [["body", "assistant_id"]]),
    ],
)
def test_a_thread_that_does_not_fit_is_refused(
    foo: httpx2.Client, body: Any, locs: list[Any]
) -> None:
    for answer in (foo.post("threads", json=body), foo.put(f"threads/{UNKNOWN}", json=body)):
        assert answer.status_code == 422
        told = answer.json()["detail"]
        assert [one if isinstance(locs[0], dict) else one["loc"] for one in told] == locs
    assert foo.get("threads/").json() == []


@pytest.mark.parametrize(
    ("message", "loc", "kind"),
    [
        ("Why?", [], "type_error.dict"),
        (None, [], "type_error.none.not_allowed"),
        ({"content": "Why?"}, ["type"], "value_error.missing"),
        ({"type": "human"}, ["content"], "value_error.missing"),
        ({"type": "system", "content": "x"}, ["type"], "value_error.const"),
        ({"type": 7, "content": "x"}, ["type"], "type_error.str"),
        ({"type": "human", "content": None}, ["content"], "type_error.none.not_allowed"),
        ({"type": "human", "content": 7}, ["content"], "type_error.str"),
        ({"type": "human", "content": "a\0"}, ["content"], "value_error"),
        ({"type": "human", "content": [7]}, ["content"], "value_error"),
        ({"type": "human", "content": [{"type": "text"}]}, ["content"], "value_error"),
        (
            {"type": "human", "content": "x" * 256_001},
            ["content"],
            "value_error.any_str.max_length",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_message_that_does_not_fit_is_refused_with_all_that_came_with_it(
    foo: httpx2.Client, message: Any, loc: list[str], kind: str
) -> None:
    id_ = a_thread(foo)["thread_id"]
    answer = foo.post(f"threads/{id_}/messages", json={"messages": [human("first"), message]})
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert (detail["loc"], detail["type"]) == (["body", "messages", 1, *loc], kind)
    assert said_in(foo, id_) == []


def test_messages_must_be_a_list(foo: httpx2.Client) -> None:
    id_ = a_thread(foo)["thread_id"]
    for body, kind in (
        ({}, "value_error.missing"),
        ({"messages": None}, "type_error.none.not_allowed"),
        ({"messages": {}}, "type_error.sequence"),
        ({"messages": "Why?"}, "type_error.sequence"),
    ):
        answer = foo.post(f"threads/{id_}/messages", json=body)
        assert answer.status_code == 422
        (detail,) = answer.json()["detail"]
        assert (detail["loc"], detail["type"]) == (["body", "messages"], kind)


def test_a_thread_is_the_same_thread_on_the_other_wire(
    foo: httpx2.Client, app: Flask, caller: Caller, database: Database
) -> None:
    id_ = a_thread(foo, UNKNOWN, "Why?")["thread_id"]
    with database.autocommit() as tx:
        thread_id = tx.value("SELECT thread_id FROM opengpts_threads")
    client = client_as(app, caller.secret)
    client.beta.threads.messages.create(thread_id, role="user", content="And how?")
    assert [message["content"] for message in said_in(foo, id_)] == ["Why?", "And how?"]
    assert client.beta.threads.retrieve(thread_id).metadata == {}
    client.beta.threads.delete(thread_id)
    assert foo.get(f"threads/{id_}").status_code == 404
    assert said_in(foo, id_) == []
