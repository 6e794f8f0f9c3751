"""Requests, workers and the sweep at the same run at the same moment: one wins, the others are told
why they did not, and what is stored fits together."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from shared.db import Database
from shared.run_state import RunStatus
from shared.settings import Settings
from shared.store.runs import Run
from tests.conftest import Caller
from tests.factories import a_run
from tests.integration.openai.test_streams import working
from tests.integration.wire import flaw
from tests.model_server import ModelServer, say
from worker.bell import Bell
from worker.sweep import sweep

ROUNDS = 20

Act = Callable[[], Any]
Rounds = Callable[[RunStatus], list[Run]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, database_pool=12)


@pytest.fixture
def rounds(database: Database, caller: Caller) -> Rounds:
    def begin(status: RunStatus) -> list[Run]:
        return [a_run(database, caller.project_id, status=status) for _ in range(ROUNDS)]

    return begin


def at_once(*acts: Act) -> list[Any]:
    """What each gives; they begin together, or nearly."""
    barrier = threading.Barrier(len(acts))

    def begin(act: Act) -> Any:
        barrier.wait(10)
        threading.Event().wait(random.choice((0, 0, 0.001, 0.003, 0.01)))
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(begin, acts))


def url_of(run: Run) -> str:
    return f"threads/{run.thread_id}/runs/{run.id}"


def submit(http: httpx2.Client, run: Run, output: str, **options: Any) -> Act:
    body = {"tool_outputs": [{"tool_call_id": "call_1", "output": output}], **options}
    return lambda: http.post(f"{url_of(run)}/submit_tool_outputs", json=body)


def cancel(http: httpx2.Client, run: Run) -> Act:
    return lambda: http.post(f"{url_of(run)}/cancel")


def status_of(http: httpx2.Client, run: Run) -> str:
    return http.get(url_of(run)).json()["status"]


def steps_of(http: httpx2.Client, run: Run) -> list[dict[str, Any]]:
    return http.get(f"{url_of(run)}/steps", params={"order": "asc"}).json()["data"]


def answers_of(http: httpx2.Client, run: Run) -> list[dict[str, Any]]:
    listed = http.get(f"threads/{run.thread_id}/messages").json()["data"]
    return [message for message in listed if message["role"] == "assistant"]


def refused(answer: httpx2.Response, *texts: str) -> bool:
    """Whether it is a refusal; if so, it must be one of these."""
    if answer.status_code == 200:
        return False
    assert flaw(answer) is None
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] in texts
    return True


def test_of_outputs_submitted_at_once_streamed_or_not_one_set_reaches_the_model(
    http: httpx2.Client,
    database: Database,
    worker: Bell,
    model_server: ModelServer,
    rounds: Rounds,
) -> None:
    late = [f'Runs in status "{one}" do not accept tool outputs.' for one in RunStatus]
    waiting = rounds(RunStatus.REQUIRES_ACTION)
    with working(worker, database):
        for run in waiting:
            model_server.requests.clear()
            acts = [submit(http, run, f"of {n}", stream=n % 2 == 0) for n in range(4)]
            won = [n for n, answer in enumerate(at_once(*acts)) if not refused(answer, *late)]
            assert len(won) == 1
            while status_of(http, run) != "completed":
                threading.Event().wait(0.005)
            (told,) = model_server.requests
            assert told["messages"][-1]["content"] == f"of {won[0]}"
            calls, _ = steps_of(http, run)
            (made,) = calls["step_details"]["tool_calls"]
            assert made["function"]["output"] == f"of {won[0]}"
            assert len(answers_of(http, run)) == 1


def test_outputs_and_a_cancel_at_once_leave_the_run_cancelled(
    http: httpx2.Client, rounds: Rounds
) -> None:
    for run in rounds(RunStatus.REQUIRES_ACTION):
        submitted, cancelled = at_once(submit(http, run, "x"), cancel(http, run))
        too_late = refused(submitted, 'Runs in status "cancelled" do not accept tool outputs.')
        assert cancelled.status_code == 200
        assert cancelled.json()["status"] == "cancelling"
        assert status_of(http, run) == "cancelled"
        (step,) = steps_of(http, run)
        assert step["status"] == ("cancelled" if too_late else "completed")


def test_outputs_and_the_end_of_the_runs_time_at_once_leave_it_expired(
    http: httpx2.Client,
    database: Database,
    settings: Settings,
    rounds: Rounds,
) -> None:
    def expire() -> None:
        with database.autocommit() as tx:
            tx.execute("UPDATE runs SET expires_at = now() WHERE expires_at > now()")
            sweep(tx, settings)

    for run in rounds(RunStatus.REQUIRES_ACTION):
        submitted, _ = at_once(submit(http, run, "x"), expire)
        too_late = refused(submitted, 'Runs in status "expired" do not accept tool outputs.')
        # A round of the sweep passes over what is locked at its moment.
        expire()
        assert status_of(http, run) == "expired"
        (step,) = steps_of(http, run)
        assert step["status"] == ("expired" if too_late else "completed")


def test_a_cancel_and_the_answer_at_once_leave_the_run_with_one_end(
    http: httpx2.Client,
    worker: Bell,
    model_server: ModelServer,
    rounds: Rounds,
) -> None:
    for run in rounds(RunStatus.QUEUED):
        cancelled, _ = at_once(cancel(http, run), worker.answer)
        too_late = refused(cancelled, "Cannot cancel run with status 'completed'.")
        status = status_of(http, run)
        assert status == "completed" if too_late else status in ("cancelled", "completed")
        assert len(answers_of(http, run)) == (status == "completed")
        assert len(steps_of(http, run)) == (status == "completed")
        again = http.post(
            f"threads/{run.thread_id}/messages", json={"role": "user", "content": "x"}
        )
        assert again.status_code == 200


def test_a_cancel_and_a_call_at_once_leave_the_run_cancelled(
    http: httpx2.Client,
    worker: Bell,
    model_server: ModelServer,
    rounds: Rounds,
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    model_server.always(say(None, tool_calls=[call]))
    for run in rounds(RunStatus.QUEUED):
        cancelled, _ = at_once(cancel(http, run), worker.answer)
        assert cancelled.status_code == 200
        assert status_of(http, run) == "cancelled"
        assert {step["status"] for step in steps_of(http, run)} <= {"cancelled"}


def test_a_thread_deleted_in_the_middle_of_anything_takes_everything_along(
    http: httpx2.Client,
    database: Database,
    worker: Bell,
    settings: Settings,
    rounds: Rounds,
) -> None:
    def sweep_once() -> None:
        with database.autocommit() as tx:
            sweep(tx, settings)

    statuses: set[int] = set()
    for status in (RunStatus.REQUIRES_ACTION, RunStatus.QUEUED, RunStatus.COMPLETED):
        for run in rounds(status):
            deleted, *others = at_once(*_everything_about(http, run, sweep_once, worker.answer))
            assert deleted.status_code == 200, deleted.text
            answers = [one for one in others if one is not None]
            statuses |= {one.status_code for one in answers}
            assert [flaw(one) for one in answers if one.status_code != 200 and flaw(one)] == []
            with database.autocommit() as tx:
                for count in (
                    "SELECT count(*) FROM runs WHERE thread_id = %(id)s",
                    "SELECT count(*) FROM messages WHERE thread_id = %(id)s",
                    "SELECT count(*) FROM run_steps WHERE thread_id = %(id)s",
                ):
                    assert tx.value(count, {"id": run.thread_id}) == 0
    assert statuses == {200, 400, 404}


def _everything_about(http: httpx2.Client, run: Run, *acts: Act) -> list[Act]:
    """First the deletion of its thread."""
    thread = f"threads/{run.thread_id}"
    message = {"role": "user", "content": "And?"}
    another = {"assistant_id": run.assistant_id, "stream": True}
    return [
        lambda: http.delete(thread),
        submit(http, run, "x"),
        submit(http, run, "y", stream=True),
        cancel(http, run),
        lambda: http.post(f"{thread}/messages", json=message),
        lambda: http.post(f"{thread}/runs", json=another),
        lambda: http.get(f"{url_of(run)}/steps"),
        lambda: http.post(url_of(run), json={"metadata": {"a": "b"}}),
        *acts,
    ]
