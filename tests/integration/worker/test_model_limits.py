"""What all workers together may ask of one model."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from shared.db import Database
from shared.run_state import RunStatus
from shared.settings import Settings
from shared.store import model_pauses, runs
from shared.store.runs import Run
from tests.conftest import Caller, a_worker
from tests.factories import a_run
from tests.model_server import Handler, ModelServer, completion, fail, stall
from worker.bell import Bell
from worker.lease import Lease


def status_of(database: Database, run: Run) -> RunStatus:
    with database.autocommit() as tx:
        return runs.get(tx, run.project_id, run.thread_id, run.id).status


def pause_of(database: Database) -> float:
    with database.autocommit() as tx:
        return tx.value("SELECT extract(epoch FROM until - now())::float8 FROM model_pauses")


def end_pauses(database: Database) -> None:
    with database.autocommit() as tx:
        tx.execute("UPDATE model_pauses SET until = now()")


def test_a_model_whose_server_said_retry_after_is_left_alone_by_all_of_its_runs(
    worker: Bell, database: Database, caller: Caller, model_server: ModelServer
) -> None:
    first = a_run(database, caller.project_id)
    model_server.script(fail(429, "slow down", {"Retry-After": "20"}))
    worker.answer()
    second = a_run(database, caller.project_id)
    other = a_run(database, caller.project_id, model="another")
    worker.answer()
    assert status_of(database, second) is RunStatus.QUEUED
    assert status_of(database, other) is RunStatus.COMPLETED
    with database.autocommit() as tx:
        assert runs.count_claimable(tx, 10) == 0
    end_pauses(database)
    worker.answer()
    assert status_of(database, second) is RunStatus.COMPLETED
    assert status_of(database, first) is RunStatus.IN_PROGRESS


@pytest.mark.parametrize("kind", ["requests", "tokens"])
def test_a_model_whose_server_has_nothing_left_is_asked_when_it_has(
    worker: Bell, database: Database, caller: Caller, model_server: ModelServer, kind: str
) -> None:
    headers = {f"x-ratelimit-remaining-{kind}": "0", f"x-ratelimit-reset-{kind}": "20s"}
    first, second = (a_run(database, caller.project_id) for _ in range(2))

    def say_last(handler: Handler, body: dict[str, Any]) -> None:
        handler.send_json(200, completion(body, {"content": "One."}), headers)

    model_server.script(say_last)
    worker.answer()
    assert status_of(database, first) is RunStatus.COMPLETED
    assert status_of(database, second) is RunStatus.QUEUED
    end_pauses(database)
    worker.answer()
    assert status_of(database, second) is RunStatus.COMPLETED


def test_a_longer_pause_is_not_shortened_and_a_very_long_one_is_doubted(
    worker: Bell, database: Database, caller: Caller, model_server: ModelServer
) -> None:
    a_run(database, caller.project_id)
    model_server.script(fail(429, "slow down", {"Retry-After": "500"}))
    worker.answer()
    assert 20 < pause_of(database) <= 30
    with database.autocommit() as tx:
        model_pauses.pause(tx, "gpt-4o", 1)
    assert 20 < pause_of(database) <= 30


def test_all_workers_together_hold_no_more_runs_of_a_model_than_they_may(
    settings: Settings,
    database: Database,
    caller: Caller,
    lease: Lease,
    model_server: ModelServer,
) -> None:
    asked = [a_run(database, caller.project_id) for _ in range(9)]
    other = a_run(database, caller.project_id, model="another")
    go = threading.Event()
    model_server.when("Why?", stall(go))
    with a_worker(replace(settings, model_concurrency=3), database, lease) as worker:
        threads = [threading.Thread(target=worker.answer) for _ in range(8)]
        for thread in threads:
            thread.start()
        model_server.wait_until_asked(4)
        full = threading.Event()
        while not full.wait(0.01) and sum(thread.is_alive() for thread in threads) > 4:
            pass
        held = [run for run in asked if status_of(database, run) is RunStatus.IN_PROGRESS]
        assert len(held) == 3
        assert status_of(database, other) is RunStatus.IN_PROGRESS
        go.set()
        for thread in threads:
            thread.join()
    assert {status_of(database, run) for run in [*asked, other]} == {RunStatus.COMPLETED}
