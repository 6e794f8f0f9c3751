"""GET of a run that is held open until the run stops, for those who ask for it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx2
import pytest
from flask import Flask
from openai import OpenAI

from api import polling
from api.runtime import runtime
from shared.db import Database
from shared.events import Listener
from shared.run_state import STOPPED, RunStatus
from shared.settings import Settings
from shared.store import runs, threads
from shared.store.runs import Run
from tests.conftest import Caller, a_caller, an_app, client_as, http_as
from tests.factories import a_run, a_thread, an_assistant, bring_to
from tests.integration.wire import error_of
from worker.bell import Bell

ASKING: dict[str, dict[str, str]] = {
    "Prefer": {"Prefer": "wait=20"},
    "Prefer among others": {"Prefer": 'respond-async, wait="20"; x=y'},
    "poll helper": {"X-Stainless-Poll-Helper": "true"},
}
# Each would hold for seconds if it were taken for a wait.
NOT_ASKING: dict[str, dict[str, str]] = {
    "nothing": {},
    "not a poll helper": {"X-Stainless-Poll-Helper": "false"},
    "a stream helper": {"X-Stainless-Stream-Helper": "true"},
    "zero": {"Prefer": "wait=0"},
    "no value": {"Prefer": "wait"},
    "an empty value": {"Prefer": "wait="},
    "a negative number": {"Prefer": "wait=-9"},
    "a fraction": {"Prefer": "wait=9.5"},
    "an exponent": {"Prefer": "wait=9e1"},
    "a word": {"Prefer": "wait=forever"},
    "an underscore": {"Prefer": "wait=9_0"},
    "another preference": {"Prefer": "respond-async"},
    "a name that ends in wait": {"Prefer": "x-wait=9"},
    "a name that begins with wait": {"Prefer": "waiting=9"},
    "another preference's text": {"Prefer": 'x="wait=9"'},
}


@pytest.fixture
def only_events_wake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "_LOOK_SECONDS", 60.0)
    monkeypatch.setattr(polling, "_DEAF_LOOK_SECONDS", 60.0)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.005)


def listener_of(app: Flask) -> Listener:
    with app.app_context():
        return runtime().listener


@pytest.fixture
def listener(app: Flask) -> Listener:
    """The API's own, once it hears."""
    listener = listener_of(app)
    until(lambda: listener.connected)
    return listener


def get(http: httpx2.Client, run: Run, headers: dict[str, str]) -> httpx2.Response:
    return http.get(f"threads/{run.thread_id}/runs/{run.id}", headers=headers)


def made_run(http: httpx2.Client, database: Database, caller: Caller) -> tuple[str, str]:
    """By the API's own process: its id, and where to poll it."""
    thread_id = a_thread(database, caller.project_id, "Why?").id
    url = f"threads/{thread_id}/runs"
    body = {"assistant_id": an_assistant(database, caller.project_id).id}
    run_id = http.post(url, json=body).json()["id"]
    return run_id, f"{url}/{run_id}"


def test_a_held_poll_is_answered_when_the_run_stops(
    listener: Listener,
    http: httpx2.Client,
    database: Database,
    caller: Caller,
    only_events_wake: None,
) -> None:
    with ThreadPoolExecutor(1) as pool:
        for status in (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.EXPIRED):
            for name, headers in ASKING.items():
                run = a_run(database, caller.project_id)
                polled = pool.submit(get, http, run, headers)
                until(lambda: run.id in listener._waiting or polled.done())  # noqa: B023
                assert not polled.done(), name
                with database.transaction() as tx:
                    bring_to(tx, run, status)
                assert polled.result(20).json()["status"] == status, name
                assert "openai-poll-after-ms" not in polled.result().headers


def test_the_clients_own_poll_helper_is_held_until_a_worker_has_answered(
    listener: Listener,
    client: OpenAI,
    database: Database,
    caller: Caller,
    worker: Bell,
    only_events_wake: None,
) -> None:
    run = a_run(database, caller.project_id)
    with ThreadPoolExecutor(1) as pool:
        polled = pool.submit(client.beta.threads.runs.poll, run.id, run.thread_id)
        until(lambda: run.id in listener._waiting)
        worker.answer()
        assert polled.result(20).status == "completed"


def test_a_run_that_was_made_here_is_read_once_by_its_first_poll(
    listener: Listener,
    http: httpx2.Client,
    database: Database,
    caller: Caller,
    worker: Bell,
    only_events_wake: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    get_run, seen = runs.get, []

    def noted(*given: Any) -> Run:
        seen.append(get_run(*given))
        return seen[-1]

    monkeypatch.setattr(runs, "get", noted)
    run_id, url = made_run(http, database, caller)
    with ThreadPoolExecutor(1) as pool:
        polled = pool.submit(http.get, url, headers={"Prefer": "wait=20"})
        until(lambda: run_id in listener._waiting)
        worker.answer()
        assert polled.result(20).json()["status"] == "completed"
    assert [run.status for run in seen] == ["completed"]
    # What an event said is not asked of it again.
    assert http.get(url, headers={"Prefer": "wait=20"}).json()["status"] == "completed"


def test_a_run_that_was_made_here_and_whose_end_was_heard_is_answered_at_once(
    listener: Listener,
    http: httpx2.Client,
    database: Database,
    caller: Caller,
    worker: Bell,
    only_events_wake: None,
) -> None:
    run_id, url = made_run(http, database, caller)
    assert run_id in listener._expected
    worker.answer()
    until(lambda: run_id not in listener._expected)
    assert http.get(url, headers={"Prefer": "wait=20"}).json()["status"] == "completed"


def test_a_run_that_was_made_here_is_not_found_by_others(
    app: Flask, http: httpx2.Client, database: Database, caller: Caller, only_events_wake: None
) -> None:
    _, url = made_run(http, database, caller)
    with http_as(app, a_caller(database, "another").secret) as other:
        assert other.get(url, headers={"Prefer": "wait=20"}).status_code == 404


def test_what_was_expected_before_the_connection_was_lost_is_read(settings: Settings) -> None:
    listener = Listener(settings)
    listener.expect("run_1", "proj_1")
    listener.start()
    until(lambda: listener.connected)
    assert not listener.still_expects("run_1", "proj_1")
    listener.stop()


def test_a_run_whose_event_is_lost_is_found_all_the_same(
    app: Flask,
    http: httpx2.Client,
    database: Database,
    caller: Caller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(polling, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(polling, "_DEAF_LOOK_SECONDS", 0.05)
    listener = listener_of(app)
    run = a_run(database, caller.project_id)
    with ThreadPoolExecutor(1) as pool:
        polled = pool.submit(get, http, run, {"Prefer": "wait=20"})
        until(lambda: run.id in listener._waiting)
        with database.transaction() as tx:
            tx.execute("UPDATE runs SET status = 'expired'")
        assert polled.result(20).json()["status"] == "expired"


def test_a_held_run_that_is_deleted_is_not_found(
    listener: Listener,
    http: httpx2.Client,
    database: Database,
    caller: Caller,
    only_events_wake: None,
) -> None:
    run = a_run(database, caller.project_id)
    with ThreadPoolExecutor(1) as pool:
        polled = pool.submit(get, http, run, {"Prefer": "wait=30"})
        until(lambda: run.id in listener._waiting)
        with database.transaction() as tx:
            threads.delete(tx, caller.project_id, run.thread_id)
        assert error_of(polled.result(20), 404)["message"] == f"No run found with id '{run.id}'."


def test_a_run_that_has_stopped_is_answered_at_once(
    http: httpx2.Client, database: Database, caller: Caller, only_events_wake: None
) -> None:
    for status in STOPPED:
        run = a_run(database, caller.project_id, status=status)
        began = time.monotonic()
        for headers in ASKING.values():
            assert get(http, run, headers).json()["status"] == status
        assert time.monotonic() - began < 10


def test_when_the_time_is_up_the_run_is_answered_as_it_is(
    settings: Settings, database: Database, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    with (
        an_app(settings, hold_seconds=0.2) as app,
        closing(http_as(app, caller.secret)) as http,
    ):
        for name, headers in ASKING.items():
            began = time.monotonic()
            answer = get(http, run, headers)
            assert time.monotonic() - began >= 0.2, name
            assert (answer.status_code, answer.json()["status"]) == (200, "queued"), name
            assert answer.headers["openai-poll-after-ms"].isdecimal(), name
        assert listener_of(app)._waiting == {}


def test_a_poll_is_held_no_longer_than_it_asks(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    began = time.monotonic()
    answer = get(http, run, {"Prefer": "wait=1"})
    assert 1 <= time.monotonic() - began < 20
    assert answer.json()["status"] == "queued"


def test_nobody_is_held_who_did_not_ask(
    settings: Settings, database: Database, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    held: list[str] = []
    with (
        an_app(settings, hold_seconds=3) as app,
        closing(http_as(app, caller.secret)) as http,
    ):
        for name, headers in NOT_ASKING.items():
            began = time.monotonic()
            assert get(http, run, headers).json()["status"] == "queued"
            if time.monotonic() - began > 2.5:
                held.append(name)
    assert held == []


def test_the_name_of_a_preference_may_be_written_in_capitals(
    settings: Settings, database: Database, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    with (
        an_app(settings, hold_seconds=0.2) as app,
        closing(http_as(app, caller.secret)) as http,
    ):
        began = time.monotonic()
        get(http, run, {"Prefer": "Wait=20"})
        assert time.monotonic() - began >= 0.2


def test_a_poll_that_waits_keeps_no_connection_from_others(
    settings: Settings, database: Database, caller: Caller
) -> None:
    runs = [a_run(database, caller.project_id) for _ in range(6)]
    with (
        an_app(settings, database_pool=2) as app,
        closing(client_as(app, caller.secret)) as client,
        closing(http_as(app, caller.secret)) as http,
        ThreadPoolExecutor(len(runs)) as pool,
    ):
        polls = [pool.submit(get, http, run, {"Prefer": "wait=20"}) for run in runs]
        until(lambda: len(listener_of(app)._waiting) == len(runs))
        assert client.beta.threads.retrieve(runs[0].thread_id).id == runs[0].thread_id
        for run in runs:
            with database.transaction() as tx:
                bring_to(tx, run, RunStatus.COMPLETED)
        assert {poll.result(20).json()["status"] for poll in polls} == {"completed"}
