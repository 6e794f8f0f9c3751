"""Users of OpenGPTs: known by a cookie, to an application where one project stands open to them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from flask import Flask

from api.opengpts.identity import COOKIE
from shared.settings import Settings
from tests.conftest import Caller, an_app

User = Callable[..., httpx2.Client]


@pytest.fixture
def app(settings: Settings, caller: Caller) -> Iterator[Flask]:
    with an_app(settings, opengpts_project=caller.project_id) as app:
        yield app


def user_of(app: Flask, name: str, secret: str = "") -> httpx2.Client:
    """A user without a name sends no cookie."""
    return httpx2.Client(
        transport=httpx2.WSGITransport(app=app, raise_app_exceptions=False),
        base_url="http://treadle/opengpts/",
        headers={"Authorization": f"Bearer {secret}"} if secret else {},
        cookies={COOKIE: name} if name else {},
    )


@pytest.fixture
def user(app: Flask) -> Iterator[User]:
    with ExitStack() as clients:
        yield lambda name, secret="": clients.enter_context(user_of(app, name, secret))


@pytest.fixture
def foo(user: User) -> httpx2.Client:
    return user("foo")


def an_assistant(user: httpx2.Client, **given: Any) -> dict[str, Any]:
    body = {"name": "bar", "config": {"configurable": {}}, "public": True, **given}
    answer = user.put("assistants", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def a_thread(user: httpx2.Client, assistant_id: str = "", *texts: str) -> dict[str, Any]:
    body = {"name": "hi", "assistant_id": assistant_id or str(uuid4())}
    answer = user.post("threads", json=body)
    assert answer.status_code == 200, answer.text
    thread = answer.json()
    if texts:
        said = [human(text) for text in texts]
        path = f"threads/{thread['thread_id']}/messages"
        assert user.post(path, json={"messages": said}).status_code == 200
    return thread


def human(text: str) -> dict[str, Any]:
    return {"content": text, "type": "human"}


def said_in(user: httpx2.Client, thread_id: str) -> list[dict[str, Any]]:
    answer = user.get(f"threads/{thread_id}/messages")
    assert answer.status_code == 200, answer.text
    return answer.json()["messages"]


def missing(*loc: str) -> dict[str, Any]:
    return {"loc": list(loc), "msg": "field required", "type": "value_error.missing"}
