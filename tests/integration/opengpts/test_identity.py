"""Who calls: a key or the open project, and a cookie."""

import re
import time
from collections.abc import Iterator
from contextlib import closing

import httpx2
import pytest
from flask import Flask

from api import auth
from api.opengpts import identity
from shared.db import Database
from shared.settings import Settings
from shared.store import callers
from tests.conftest import Caller, a_caller, an_app, client_as
from tests.integration.opengpts.conftest import (
    User,
    a_thread,
    an_assistant,
    missing,
    said_in,
    user_of,
)

# What differs from one object to the next: ids and instants.
MADE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[^\"]*")


@pytest.fixture
def closed_app(settings: Settings) -> Iterator[Flask]:
    """Where no project stands open."""
    with an_app(settings) as app:
        yield app


def refusal(answer: httpx2.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["detail"], answer.headers["WWW-Authenticate"]


def test_without_a_key_nothing_is_done_unless_a_project_stands_open(closed_app: Flask) -> None:
    with closing(user_of(closed_app, "foo")) as foo:
        for answer in (
            foo.get("assistants/"),
            foo.put("assistants", content=b"{"),
            foo.get("assistants/public/"),
            foo.get("threads/x/messages"),
            foo.post("runs/stream", json={}),
            foo.get("runs/input_schema"),
        ):
            assert refusal(answer) == (401, "Not authenticated", "Bearer")


def test_a_key_says_which_project_whatever_stands_open(
    user: User, database: Database, caller: Caller, app: Flask, foo: httpx2.Client
) -> None:
    other = a_caller(database, "other")
    theirs = an_assistant(user("foo", other.secret))
    assert foo.get("assistants/").json() == []
    assert foo.get("assistants/public/").json() == []
    assert foo.get(f"assistants/{theirs['assistant_id']}").status_code == 404
    mine = an_assistant(user("foo", caller.secret))
    assert [one["assistant_id"] for one in foo.get("assistants/").json()] == [mine["assistant_id"]]
    (shown,) = client_as(app, other.secret).beta.assistants.list().data
    assert shown.name == "bar"


def test_a_wrong_key_is_refused_even_where_a_project_stands_open(user: User) -> None:
    answer = user("foo", "tr-wrong").get("assistants/")
    assert refusal(answer) == (401, "Invalid API key", "Bearer")


def test_a_project_may_be_named_by_its_keys_id_and_closes_with_its_last_key(
    settings: Settings, database: Database, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.autocommit() as tx:
        key = callers.find(tx, caller.secret)
    assert key is not None
    with (
        an_app(settings, opengpts_project=key.id) as app,
        closing(user_of(app, "foo")) as foo,
    ):
        assert foo.get("assistants/").status_code == 200
        with database.autocommit() as tx:
            callers.revoke(tx, key.id)
        later = time.monotonic() + auth.REMEMBERED_SECONDS + 1
        monkeypatch.setattr(identity.time, "monotonic", lambda: later)
        assert refusal(foo.get("assistants/"))[0] == 401


def test_a_project_that_does_not_exist_is_open_to_nobody(settings: Settings) -> None:
    with an_app(settings, opengpts_project="proj_x") as app, closing(user_of(app, "foo")) as foo:
        assert foo.get("assistants/").status_code == 401


def test_a_request_without_the_cookie_is_told_so(user: User) -> None:
    nobody = user("")
    thread = {"name": "hi", "assistant_id": "x"}
    run = {"assistant_id": "x", "thread_id": "x", "input": {}}
    for answer in (
        nobody.get("assistants/"),
        nobody.get("assistants/x"),
        nobody.put("assistants", json={"name": "a", "config": {}}),
        nobody.get("threads/"),
        nobody.post("threads", json=thread),
        nobody.get("threads/x/messages"),
        nobody.post("threads/x/messages", json={"messages": []}),
        nobody.post("runs", json=run),
        nobody.post("runs/stream", json=run),
    ):
        assert answer.status_code == 422
        assert answer.json() == {"detail": [missing("cookie", "opengpts_user_id")]}


@pytest.mark.parametrize("name", ["x" * 201, "a\\000b", "a\\012b"])
def test_a_cookie_that_names_nobody_is_refused(app: Flask, name: str) -> None:
    with closing(user_of(app, "")) as nobody:
        cookie = {"Cookie": f'opengpts_user_id="{name}"'}
        answer = nobody.get("assistants/", headers=cookie)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["cookie", "opengpts_user_id"]


def test_another_users_thread_is_answered_as_one_that_never_existed(
    foo: httpx2.Client, user: User
) -> None:
    assistant_id = an_assistant(foo)["assistant_id"]
    theirs = a_thread(foo, assistant_id, "secret")["thread_id"]
    other = user("other")
    assert other.get("threads/").json() == []
    run = {"assistant_id": assistant_id, "input": {"messages": []}}
    said = {"messages": [{"type": "human", "content": "x"}]}
    for method, path, body in (
        ("GET", "threads/{}", None),
        ("GET", "threads/{}/messages", None),
        ("GET", "threads/{}/state", None),
        ("GET", "threads/{}/history", None),
        ("POST", "threads/{}/messages", said),
        ("POST", "runs", run),
        ("POST", "runs/stream", run),
    ):
        seen = []
        for id_ in (theirs, "00000000-0000-4000-8000-000000000000"):
            sent = body and {**body, "thread_id": id_}
            answer = other.request(method, path.format(id_), json=sent)
            seen.append((answer.status_code, answer.text))
        assert seen[0] == seen[1], path
        assert seen[0] in (
            (404, '{"detail":"Thread not found"}'),
            (200, '{"messages":[]}'),
        ), path
    assert [message["content"] for message in said_in(foo, theirs)] == ["secret"]


def test_another_projects_objects_are_answered_as_what_never_existed(
    app: Flask, database: Database, foo: httpx2.Client, user: User
) -> None:
    """On every route, to a user of the same name."""
    assistant_id = an_assistant(foo)["assistant_id"]
    theirs = {
        "assistant_id": assistant_id,
        "thread_id": a_thread(foo, assistant_id, "secret")["thread_id"],
    }
    never = dict.fromkeys(theirs, "00000000-0000-4000-8000-000000000000")
    other = user("foo", a_caller(database, "other").secret)
    said = {"messages": [{"type": "human", "content": "x"}]}
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/opengpts/")]
    asked = [(method, rule) for rule in rules for method in (rule.methods or set())]
    # What a PUT makes is the user's own from then on.
    for method, rule in sorted(asked, key=lambda one: (one[0] == "PUT", one[0], one[1].rule)):
        seen = []
        for ids in (theirs, never):
            path = rule.rule
            for name, id_ in ids.items():
                path = path.replace(f"<{name}>", id_)
            body = {"name": "x", "config": {"configurable": {}}, "input": {"messages": []}}
            answer = other.request(method, f"http://treadle{path}", json={**body, **said, **ids})
            text = answer.text.replace(ids["thread_id"], "<id>").replace(
                ids["assistant_id"], "<id>"
            )
            seen.append((answer.status_code, MADE.sub("<made>", text)))
        assert seen[0] == seen[1], (method, rule.rule)
        assert "secret" not in seen[0][1]
    assert [message["content"] for message in said_in(foo, theirs["thread_id"])] == ["secret"]
    assert [one["assistant_id"] for one in foo.get("assistants/").json()] == [assistant_id]
