"""A thread whose run goes on: refused by default, and in line where that was asked for."""

from collections.abc import Callable
from dataclasses import replace
from threading import Thread

import httpx2
import pytest
from openai import APIError, BadRequestError, OpenAI

from shared.db import Database
from shared.run_state import RunStatus
from shared.settings import Settings
from shared.store import losses, runs
from tests.conftest import Caller, an_app, client_as, http_as
from tests.factories import a_run
from tests.integration.wire import error_of
from tests.model_server import ModelServer
from worker.bell import Bell

QUEUE = {"Treadle-Busy-Thread": "queue"}


@pytest.fixture
def busy(database: Database, caller: Caller) -> runs.Run:
    """A run that is at work."""
    return a_run(database, caller.project_id, question="First?", status=RunStatus.IN_PROGRESS)


def _ask(client: OpenAI, before: runs.Run, question: str) -> str:
    """Another message and its run, behind whatever goes on: the run's id."""
    client.beta.threads.messages.create(
        before.thread_id, role="user", content=question, extra_headers=QUEUE
    )
    return client.beta.threads.runs.create(
        before.thread_id, assistant_id=before.assistant_id, extra_headers=QUEUE
    ).id


def _said(client: OpenAI, thread_id: str) -> list[str]:
    page = client.beta.threads.messages.list(thread_id, order="asc", limit=100)
    return [message.content[0].text.value for message in page]  # type: ignore[union-attr]


def test_runs_and_messages_of_a_busy_thread_are_worked_off_in_the_order_they_came(
    client: OpenAI,
    database: Database,
    caller: Caller,
    worker: Bell,
    model_server: ModelServer,
) -> None:
    first = a_run(database, caller.project_id, question="First?")
    second = _ask(client, first, "Second?")
    third = _ask(client, first, "Third?")
    worker.answer()
    told = [[said["content"] for said in asked["messages"][1:]] for asked in model_server.requests]
    assert told == [
        ["First?"],
        ["First?", "You said: First?", "Second?"],
        ["First?", "You said: First?", "Second?", "You said: Second?", "Third?"],
    ]
    assert _said(client, first.thread_id) == [
        "First?", "You said: First?", "Second?", "You said: Second?", "Third?", "You said: Third?",
    ]  # fmt: skip
    listed = client.beta.threads.runs.list(first.thread_id, order="asc").data
    assert [run.id for run in listed] == [first.id, second, third]
    assert {run.status for run in listed} == {"completed"}


def test_additional_messages_wait_with_their_run(
    client: OpenAI,
    database: Database,
    caller: Caller,
    worker: Bell,
    model_server: ModelServer,
) -> None:
    first = a_run(database, caller.project_id, question="First?")
    client.beta.threads.runs.create(
        first.thread_id,
        assistant_id=first.assistant_id,
        additional_messages=[{"role": "user", "content": "Second?"}],
        extra_headers=QUEUE,
    )
    worker.answer()
    assert _said(client, first.thread_id) == [
        "First?",
        "You said: First?",
        "Second?",
        "You said: Second?",
    ]


def test_a_run_in_line_is_queued_and_no_worker_takes_it(
    client: OpenAI, database: Database, busy: runs.Run, worker: Bell, model_server: ModelServer
) -> None:
    waiting = _ask(client, busy, "Second?")
    worker.answer()
    assert client.beta.threads.runs.retrieve(waiting, thread_id=busy.thread_id).status == "queued"
    assert model_server.requests == []


def _fail(database: Database, run: runs.Run) -> None:
    with database.transaction() as tx:
        tx.execute("UPDATE workers SET lost_at = now() WHERE id = %(id)s", {"id": run.worker_id})
        tx.execute("UPDATE runs SET lapses = 99 WHERE id = %(id)s", {"id": run.id})
        losses.fail_poisonous(tx, 10, {})


def _expire(database: Database, run: runs.Run) -> None:
    with database.transaction() as tx:
        tx.execute("UPDATE runs SET expires_at = now() WHERE id = %(id)s", {"id": run.id})
        losses.expire(tx, 10)


@pytest.mark.parametrize("end", [_fail, _expire])
def test_however_the_run_ahead_ends_the_next_has_its_turn(
    client: OpenAI,
    database: Database,
    busy: runs.Run,
    worker: Bell,
    model_server: ModelServer,
    end: Callable[[Database, runs.Run], None],
) -> None:
    waiting = _ask(client, busy, "Second?")
    end(database, busy)
    worker.answer()
    ended = client.beta.threads.runs.retrieve(waiting, thread_id=busy.thread_id)
    assert ended.status == "completed"
    assert _said(client, busy.thread_id) == ["First?", "Second?", "You said: Second?"]


def test_a_cancelled_run_lets_the_next_have_its_turn_and_one_in_line_may_be_cancelled(
    client: OpenAI, database: Database, caller: Caller, worker: Bell, model_server: ModelServer
) -> None:
    first = a_run(database, caller.project_id, question="First?")
    second, third = _ask(client, first, "Second?"), _ask(client, first, "Third?")
    client.beta.threads.runs.cancel(second, thread_id=first.thread_id)
    client.beta.threads.runs.cancel(first.id, thread_id=first.thread_id)
    worker.answer()
    listed = client.beta.threads.runs.list(first.thread_id, order="asc").data
    assert [(run.id, run.status) for run in listed] == [
        (first.id, "cancelled"),
        (second, "cancelled"),
        (third, "completed"),
    ]
    assert len(model_server.requests) == 1


def test_a_run_that_waits_for_outputs_keeps_those_behind_it_in_line(
    client: OpenAI, database: Database, caller: Caller, worker: Bell, model_server: ModelServer
) -> None:
    first = a_run(database, caller.project_id, question="First?", status=RunStatus.REQUIRES_ACTION)
    second = _ask(client, first, "Second?")
    worker.answer()
    assert model_server.requests == []
    client.beta.threads.runs.submit_tool_outputs(
        first.id,
        thread_id=first.thread_id,
        tool_outputs=[{"tool_call_id": "call_1", "output": "blue"}],
    )
    worker.answer()
    assert "Second?" not in str(model_server.requests[0])
    assert _said(client, first.thread_id)[-3:] == [
        "You said: First?",
        "Second?",
        "You said: Second?",
    ]
    assert (
        client.beta.threads.runs.retrieve(second, thread_id=first.thread_id).status == "completed"
    )


def test_a_runs_life_in_line_allows_for_those_ahead_and_begins_anew_with_its_turn(
    client: OpenAI, database: Database, busy: runs.Run
) -> None:
    waiting = _ask(client, busy, "Second?")
    path = {"run_id": waiting, "thread_id": busy.thread_id}
    in_line = client.beta.threads.runs.retrieve(**path)
    assert in_line.expires_at == int(busy.expires_at.timestamp()) + 600
    with database.transaction() as tx:
        tx.execute("UPDATE runs SET created_at = created_at - interval '1 hour'")
    _expire(database, busy)
    called = client.beta.threads.runs.retrieve(**path)
    assert called.expires_at is not None
    assert in_line.expires_at is not None
    assert called.expires_at <= in_line.expires_at
    assert called.status == "queued"


def test_a_hundred_runs_may_stand_in_line(client: OpenAI, busy: runs.Run) -> None:
    for n in range(100):
        _ask(client, busy, f"{n}?")
    with pytest.raises(BadRequestError, match="already has 100 runs that wait for their turn"):
        _ask(client, busy, "One more?")


def test_runs_that_come_at_once_all_get_in_line(
    database: Database,
    caller: Caller,
    worker: Bell,
    settings: Settings,
    model_server: ModelServer,
) -> None:
    """While the worker ends one run after the other, so that the end of a line is met too."""
    first = a_run(database, caller.project_id, question="First?")
    questions = [f"Question {n}?" for n in range(24)]
    refused: list[Exception] = []
    with an_app(replace(settings, busy_thread="queue")) as app:

        def ask(some: list[str]) -> None:
            with client_as(app, caller.secret) as client:
                for question in some:
                    try:
                        client.beta.threads.runs.create(
                            first.thread_id,
                            assistant_id=first.assistant_id,
                            additional_messages=[{"role": "user", "content": question}],
                        )
                    except APIError as error:
                        refused.append(error)

        threads = [Thread(target=ask, args=(questions[n::4],)) for n in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            worker.answer()
        for thread in threads:
            thread.join()
        worker.answer()
        with client_as(app, caller.secret) as client:
            said = _said(client, first.thread_id)
    assert refused == []
    assert sorted(said[::2]) == sorted(["First?", *questions])
    assert said[1::2] == [f"You said: {question}" for question in said[::2]]


def test_by_default_and_by_the_header_a_busy_thread_refuses(
    settings: Settings, caller: Caller, busy: runs.Run
) -> None:
    asked = replace(settings, busy_thread="queue")
    with an_app(asked) as app, http_as(app, caller.secret) as http:
        answer = _message(http, busy, {"Treadle-Busy-Thread": "reject"})
        assert error_of(answer)["message"] == (
            f"Can't add messages to {busy.thread_id} while a run {busy.id} is active."
        )
        assert _message(http, busy, {}).status_code == 200


def test_an_unknown_wish_is_refused(http: httpx2.Client, busy: runs.Run) -> None:
    error = error_of(_message(http, busy, {"Treadle-Busy-Thread": "interrupt"}))
    assert error["param"] == "Treadle-Busy-Thread"


def _message(http: httpx2.Client, run: runs.Run, headers: dict[str, str]) -> httpx2.Response:
    body = {"role": "user", "content": "Second?"}
    return http.post(f"threads/{run.thread_id}/messages", json=body, headers=headers)
