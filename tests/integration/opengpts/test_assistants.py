"""/opengpts/assistants"""

from datetime import datetime
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from flask import Flask

from tests.conftest import Caller, client_as
from tests.integration.opengpts.conftest import User, an_assistant, missing

BODY: dict[str, Any] = {"name": "bar", "config": {"configurable": {}}}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "assistants"),
        ("PUT", "assistants/"),
        ("POST", "assistants"),
        ("POST", "assistants/"),
    ],
)
def test_an_assistant_is_made_with_an_id_of_its_own(
    foo: httpx2.Client, method: str, path: str
) -> None:
    answer = foo.request(method, path, json={**BODY, "public": True})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    made = answer.json()
    assert list(made) == ["assistant_id", "name", "config", "updated_at", "public", "user_id"]
    assert str(UUID(made["assistant_id"])) == made["assistant_id"]
    assert (made["name"], made["public"], made["user_id"]) == ("bar", True, "foo")
    assert made["config"] == {"configurable": {}}
    assert datetime.fromisoformat(made["updated_at"]).tzinfo is None
    assert ", " not in answer.text


def test_an_assistant_is_put_under_the_clients_id_and_put_again(foo: httpx2.Client) -> None:
    id_ = str(uuid4())
    first = foo.put(f"assistants/{id_}", json={**BODY, "public": True}).json()
    assert first["assistant_id"] == id_
    again = foo.put(f"assistants/{id_}", json={"name": "baz", "config": {"a": [1]}}).json()
    assert (again["name"], again["config"], again["public"]) == ("baz", {"a": [1]}, False)
    assert again["updated_at"] > first["updated_at"]
    del again["user_id"]
    assert foo.get(f"assistants/{id_}").json() == again
    assert foo.get("assistants/").json() == foo.get("assistants").json() == [again]


def test_puts_that_race_make_one_assistant(foo: httpx2.Client, app: Flask, caller: Caller) -> None:
    id_, statuses = str(uuid4()), []

    def put(number: int) -> None:
        answer = foo.put(f"assistants/{id_}", json={**BODY, "name": str(number)})
        statuses.append(answer.status_code)

    threads = [Thread(target=put, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 6
    assert len(foo.get("assistants/").json()) == 1
    assert len(client_as(app, caller.secret).beta.assistants.list().data) == 1


@pytest.mark.parametrize(
    ("configurable", "model", "instructions"),
    [
        ({}, "gpt-4o", "You are a helpful assistant."),
        ({"model": "qwen3"}, "qwen3", "You are a helpful assistant."),
        (
            {
                "type": "agent",
                "type==agent/agent_type": "GPT 3.5 Turbo",
                "type==agent/system_message": "Rhyme.",
                "type==agent/tools": [],
            },
            "gpt-3.5-turbo",
            "Rhyme.",
        ),
        (
            {
                "type": "chatbot",
                "type==agent/system_message": "no",
                "type==chatbot/llm_type": "Org/Model-7B",
                "type==chatbot/system_message": "",
            },
            "Org/Model-7B",
            "",
        ),
        ({"type": 7, "agent_type": None}, "gpt-4o", "You are a helpful assistant."),
    ],
)
def test_its_config_says_which_model_answers_and_how(
    foo: httpx2.Client,
    app: Flask,
    caller: Caller,
    configurable: dict[str, Any],
    model: str,
    instructions: str,
) -> None:
    an_assistant(foo, config={"configurable": configurable})
    (assistant,) = client_as(app, caller.secret).beta.assistants.list().data
    assert (assistant.name, assistant.model, assistant.metadata) == ("bar", model, {})
    assert (assistant.instructions, assistant.tools) == (instructions, [])


def test_what_is_deleted_elsewhere_is_gone_here(
    foo: httpx2.Client, app: Flask, caller: Caller
) -> None:
    id_ = an_assistant(foo)["assistant_id"]
    client = client_as(app, caller.secret)
    (assistant,) = client.beta.assistants.list().data
    client.beta.assistants.update(assistant.id, name="renamed")
    assert foo.get(f"assistants/{id_}").json()["name"] == "renamed"
    client.beta.assistants.delete(assistant.id)
    assert foo.get(f"assistants/{id_}").status_code == 404
    assert foo.get("assistants/").json() == []


def test_users_see_their_own_assistants_and_public_ones_without_whose_they_are(
    foo: httpx2.Client, user: User
) -> None:
    shared = an_assistant(foo)
    secret = an_assistant(foo, public=False)
    other = user("other")
    assert other.get("assistants/").json() == []
    seen = other.get(f"assistants/{shared['assistant_id']}").json()
    assert seen == {name: shared[name] for name in shared if name != "user_id"}
    assert other.get("assistants/public/").json() == [seen]
    assert user("").get("assistants/public").json() == [seen]
    for shared_id, found in (
        (shared["assistant_id"], [seen]),
        (secret["assistant_id"], []),
        ("x", []),
    ):
        query = {"shared_id": shared_id}
        assert other.get("assistants/public/", params=query).json() == found
    hidden = other.get(f"assistants/{secret['assistant_id']}")
    never = other.get(f"assistants/{uuid4()}")
    assert (hidden.status_code, hidden.text) == (never.status_code, never.text)
    assert (never.status_code, never.json()) == (404, {"detail": "Assistant not found"})


def test_another_users_id_is_put_without_touching_theirs(foo: httpx2.Client, user: User) -> None:
    theirs = an_assistant(foo)
    id_ = theirs["assistant_id"]
    mine = user("other").put(f"assistants/{id_}", json={**BODY, "name": "mine"}).json()
    assert (mine["assistant_id"], mine["user_id"], mine["name"]) == (id_, "other", "mine")
    assert foo.get(f"assistants/{id_}").json()["name"] == "bar"
    assert user("other").get(f"assistants/{id_}").json()["name"] == "mine"


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({}, [missing("body", "name"), missing("body", "config")]),
        ({**BODY, "name": None}, [("name", "type_error.none.not_allowed")]),
        ({**BODY, "name": 7}, [("name", "type_error.str")]),
        ({**BODY, "name": "x" * 257}, [("name", "value_error.any_str.max_length")]),
        ({**BODY, "name": "a\0"}, [("name", "value_error")]),
        ({**BODY, "config": []}, [("config", "type_error.dict")]),
        ({**BODY, "config": {"a": "\0"}}, [("config", "value_error")]),
        ({**BODY, "public": "yes"}, [("public", "type_error.bool")]),
        ({"name": "a", "config": {"configurable": 1}}, [("configurable", "type_error.dict")]),
        ({"name": "a", "config": {"configurable": {"model": 1}}}, [("model", "type_error.str")]),
    ],
)
def test_a_body_that_does_not_fit_is_told_all_that_is_wrong(
    foo: httpx2.Client, body: Any, details: list[Any]
) -> None:
    for answer in (
        foo.put("assistants", json=body),
        foo.post("assistants", json=body),
        foo.put(f"assistants/{uuid4()}", json=body),
    ):
        assert answer.status_code == 422, answer.text
        told = answer.json()["detail"]
        if isinstance(details[0], tuple):
            assert [(detail["loc"][-1], detail["type"]) for detail in told] == details
        else:
            assert told == details
    assert foo.get("assistants/").json() == []


def test_a_config_that_is_nested_too_deep_is_refused(foo: httpx2.Client) -> None:
    for depth, status in ((40, 200), (70, 422), (500, 422), (5000, 422)):
        config = '{"a":' * depth + "1" + "}" * depth
        answer = foo.put(
            "assistants",
            content=f'{{"name":"a","config":{config}}}',
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == status, (depth, answer.text)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "value_error.missing"),
        (b"{", "value_error.jsondecode"),
        (b'"\xff"', "value_error.jsondecode"),
        (b"[]", "type_error.dict"),
        (b"null", "type_error.dict"),
    ],
)
def test_what_is_no_json_object_is_refused(foo: httpx2.Client, content: bytes, kind: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = foo.put("assistants", content=content, headers=headers)
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert (detail["loc"][0], detail["type"]) == ("body", kind)


def test_json_must_say_that_it_is(foo: httpx2.Client) -> None:
    content = b'{"name":"a","config":{}}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = foo.post("assistants", content=content, headers={"Content-Type": kind})
        assert answer.status_code == 422, kind
    assert foo.get("assistants/").json() == []


@pytest.mark.parametrize("id_", ["é", "a b", "x" * 201, "%00", "a;b"])
def test_an_id_that_no_client_should_choose_is_refused(foo: httpx2.Client, id_: str) -> None:
    for answer in (foo.get(f"assistants/{id_}"), foo.put(f"assistants/{id_}", json=BODY)):
        assert answer.status_code == 422, answer.text
        assert answer.json()["detail"][0]["loc"] == ["path", "aid"]
