"""Limits of a key: requests in a minute, and runs that wait."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from flask import Flask
from openai import RateLimitError

from api import auth
from shared import rates
from shared.db import Database
from shared.run_state import RunStatus
from shared.settings import Settings
from shared.store import callers
from shared.store.callers import Limits
from tests.conftest import Caller, a_caller, an_app, client_as, http_as
from tests.factories import a_run, a_thread, an_assistant
from tests.integration.openai.test_streams import names, parsed

COUNTED = {
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
}
Http = Callable[..., httpx2.Client]


@pytest.fixture
def http_of(app: Flask, database: Database, caller: Caller) -> Iterator[Http]:
    """In the name of a new key with these limits, of the caller's project unless another is
    named."""
    with ExitStack() as clients:

        def make(project_id: str = caller.project_id, **limits: int) -> httpx2.Client:
            with database.transaction() as tx:
                _, secret = callers.create(tx, "x", project_id=project_id, limits=Limits(**limits))
            return clients.enter_context(http_as(app, secret))

        yield make


def remaining(answer: httpx2.Response) -> int:
    return int(answer.headers["x-ratelimit-remaining-requests"])


def limited(answer: httpx2.Response) -> str:
    """The message of a 429, which must be one."""
    assert answer.status_code == 429, answer.text
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "x-should-retry" not in answer.headers
    error = answer.json()["error"]
    message = error.pop("message")
    assert error == {"type": "requests", "param": None, "code": "rate_limit_exceeded"}
    return message


def test_beyond_its_limit_a_key_is_told_to_wait(http_of: Http, caller: Caller) -> None:
    http = http_of(requests_per_minute=3)
    answers = [http.get("assistants") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [remaining(answer) for answer in answers] == [2, 1, 0, 0, 0]
    assert re.fullmatch(
        rf"Rate limit reached for project {caller.project_id} on requests per min \(RPM\):"
        r" Limit 3, Used 3, Requested 1\. Please try again in (1m0s|[0-9.]+m?s)\.",
        limited(answers[-1]),
    )


def test_every_answer_to_a_limited_key_tells_what_is_left(http_of: Http) -> None:
    http = http_of(requests_per_minute=60)
    answers = [
        http.get("assistants"),
        http.get("assistants/asst_none"),
        http.post("assistants", content=b"{"),
        http.get("http://treadle/openai/assistants?api-version=x"),
        http.get("http://treadle/models"),
        http.get("http://treadle/opengpts/assistants/", headers={"Cookie": "opengpts_user_id=x"}),
        http.get("http://treadle/opengpts/assistants/"),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 400, 200, 200, 200, 422]
    assert [remaining(answer) for answer in answers] == [59, 58, 57, 56, 55, 54, 53]
    for answer in answers:
        assert answer.headers["x-ratelimit-limit-requests"] == "60"
        assert re.fullmatch(r"(\dm)?[\d.]+m?s", answer.headers["x-ratelimit-reset-requests"])


def test_who_has_no_limit_is_not_counted(
    app: Flask, http: httpx2.Client, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(*_: Any) -> None:
        raise AssertionError("counted")

    monkeypatch.setattr(rates, "take_and_tell", count)
    answer = http.get("assistants")
    assert answer.status_code == 200
    assert not COUNTED & set(answer.headers)
    with closing(http_as(app, "tr-wrong")) as stranger:
        assert not COUNTED & set(stranger.get("assistants").headers)


def test_the_official_client_knows_the_error(app: Flask, database: Database) -> None:
    with database.transaction() as tx:
        _, secret = callers.create(tx, "x", limits=Limits(requests_per_minute=1))
    with closing(client_as(app, secret)) as client:
        client.beta.assistants.list()
        with pytest.raises(RateLimitError) as caught:
            client.beta.assistants.list()
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.type == "requests"


def test_each_key_of_a_project_has_requests_of_its_own(http_of: Http) -> None:
    one, other = http_of(requests_per_minute=1), http_of(requests_per_minute=1)
    assert [http.get("assistants").status_code for http in (one, one, other)] == [200, 429, 200]


def test_a_keys_own_limit_stands_before_the_settings(
    settings: Settings, database: Database
) -> None:
    answered: dict[int | None, list[int]] = {}
    with an_app(replace(settings, requests_per_minute=2, queued_runs=0)) as app:
        for own in (None, 0, 1):
            with database.transaction() as tx:
                _, secret = callers.create(tx, "x", limits=Limits(requests_per_minute=own))
            with closing(http_as(app, secret)) as http:
                answered[own] = [http.get("assistants").status_code for _ in range(4)]
    assert answered == {None: [200, 200, 429, 429], 0: [200] * 4, 1: [200, 429, 429, 429]}


def test_a_changed_limit_holds_soon(
    app: Flask, database: Database, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "REMEMBERED_SECONDS", 0.0)
    with closing(http_as(app, caller.secret)) as http:
        assert http.get("assistants").status_code == 200
        with database.transaction() as tx:
            key = callers.find(tx, caller.secret)
            assert key is not None
            callers.limit(tx, key.id, {"requests_per_minute": 1})
        assert [http.get("assistants").status_code for _ in range(2)] == [200, 429]


def test_a_poll_that_is_held_and_a_stream_count_once(
    http_of: Http, database: Database, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = http_of(requests_per_minute=60)
    run = a_run(database, caller.project_id)
    path = f"threads/{run.thread_id}/runs/{run.id}"
    held = http.get(path, headers={"Prefer": "wait=1"})
    assert (held.json()["status"], remaining(held)) == ("queued", 59)
    with database.transaction() as tx:
        tx.execute("UPDATE runs SET status = 'expired'")
    streamed = http.get(f"{path}/events")
    assert names(parsed(streamed.text))[-1] == "done"
    assert remaining(streamed) == 58
    assert remaining(http.get("assistants")) == 57


def test_the_other_dialect_says_it_in_its_own_words(http_of: Http) -> None:
    http = http_of(requests_per_minute=1)
    answers = [http.get("http://treadle/opengpts/assistants/") for _ in range(2)]
    assert answers[1].status_code == 429
    assert list(answers[1].json()) == ["detail"]
    assert answers[1].json()["detail"].startswith("Rate limit reached for project proj_")
    assert int(answers[1].headers["Retry-After"]) >= 1


@pytest.fixture
def full(database: Database, caller: Caller) -> str:
    """A project in which two runs wait: its assistant."""
    assistant_id = an_assistant(database, caller.project_id).id
    for _ in range(2):
        a_run(database, caller.project_id, assistant_id=assistant_id)
    return assistant_id


def counted(database: Database, *tables: str) -> list[int]:
    with database.autocommit() as tx:
        return [tx.value(f"SELECT count(*) FROM {table}") for table in tables]  # type: ignore[arg-type]  # noqa: S608


def test_where_as_many_runs_wait_as_may_another_is_refused_and_nothing_is_made(
    http_of: Http, database: Database, caller: Caller, full: str
) -> None:
    http = http_of(queued_runs=2)
    thread = a_thread(database, caller.project_id, "Why?").id
    before = counted(database, "threads", "messages", "runs")
    said = {"additional_messages": [{"role": "user", "content": "And?"}]}
    for path in (f"threads/{thread}/runs", "threads/runs"):
        for stream in (False, True):
            body = {"assistant_id": full, "stream": stream}
            answer = http.post(path, json=body | (said if thread in path else {}))
            assert re.fullmatch(
                rf"Rate limit reached for project {caller.project_id} on queued runs: Limit 2,"
                r" Used 2, Requested 1\. Please try again in [\d.]+s\.",
                limited(answer),
            )
    assert counted(database, "threads", "messages", "runs") == before
    queue = {"Treadle-Busy-Thread": "queue"}
    with database.autocommit() as tx:
        busy = tx.value("SELECT thread_id FROM runs LIMIT 1")
    limited(http.post(f"threads/{busy}/runs", json={"assistant_id": full}, headers=queue))


def test_only_runs_that_wait_are_counted_and_only_the_projects_own(
    http_of: Http, database: Database, caller: Caller, full: str
) -> None:
    http = http_of(queued_runs=3)
    for status in set(RunStatus) - {RunStatus.QUEUED}:
        a_run(database, caller.project_id, status=status)
    other = a_caller(database, "other").project_id
    for _ in range(5):
        a_run(database, other)
    body = {"assistant_id": full, "thread": {"messages": [{"role": "user", "content": "Why?"}]}}
    assert http.post("threads/runs", json=body).status_code == 200
    limited(http.post("threads/runs", json=body))
    with database.transaction() as tx:
        tx.execute("UPDATE runs SET status = 'expired' WHERE status = 'queued'")
    assert http.post("threads/runs", json=body).status_code == 200


def test_what_was_accepted_goes_on_where_nothing_more_is_accepted(
    http_of: Http, database: Database, caller: Caller, full: str
) -> None:
    http = http_of(queued_runs=3)
    thread = a_thread(database, caller.project_id, "Why?").id
    path, body, key = f"threads/{thread}/runs", {"assistant_id": full}, {"Idempotency-Key": "x"}
    first = http.post(path, json=body, headers=key)
    assert first.status_code == 200
    other = a_thread(database, caller.project_id, "Why?").id
    limited(http.post(f"threads/{other}/runs", json=body))
    for again in (key, {"x-stainless-retry-count": "1"}):
        assert http.post(path, json=body, headers=again).json()["id"] == first.json()["id"]
    run = a_run(database, caller.project_id, status=RunStatus.REQUIRES_ACTION)
    outputs = {"tool_outputs": [{"tool_call_id": "call_1", "output": "x"}]}
    path = f"threads/{run.thread_id}/runs/{run.id}/submit_tool_outputs"
    assert http.post(path, json=outputs).json()["status"] == "queued"


def test_the_limit_is_overshot_by_the_requests_of_one_moment_at_most(
    http_of: Http, database: Database, caller: Caller, settings: Settings
) -> None:
    http = http_of(queued_runs=5)
    assistant_id = an_assistant(database, caller.project_id).id
    body = {
        "assistant_id": assistant_id,
        "thread": {"messages": [{"role": "user", "content": "?"}]},
    }
    with ThreadPoolExecutor(20) as pool:
        answers = [*pool.map(lambda _: http.post("threads/runs", json=body), range(40))]
    accepted = [answer.status_code for answer in answers].count(200)
    assert 5 <= accepted < 5 + settings.database_pool
    assert {answer.status_code for answer in answers} == {200, 429}


def test_runs_of_the_other_dialect_wait_in_the_same_queue(http_of: Http, full: str) -> None:
    http = http_of(queued_runs=2)
    http.base_url = "http://treadle/opengpts/"
    cookie = {"Cookie": "opengpts_user_id=x"}
    given = {"name": "x", "config": {"configurable": {}}}
    assistant = http.put("assistants", json=given, headers=cookie).json()["assistant_id"]
    thread = {"name": "x", "assistant_id": assistant}
    thread_id = http.post("threads", json=thread, headers=cookie).json()["thread_id"]
    said = {"messages": [{"type": "human", "content": "Why?"}]}
    body = {"assistant_id": assistant, "thread_id": thread_id, "input": said}
    for path in ("runs", "runs/stream"):
        answer = http.post(path, json=body, headers=cookie)
        assert answer.status_code == 429
        assert answer.json()["detail"].startswith("Rate limit reached for project proj_")
    assert http.get(f"threads/{thread_id}/messages", headers=cookie).json()["messages"] == []
