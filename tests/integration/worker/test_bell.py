"""One bell, and all that waits is taken, as far as there is room."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from shared.db import Database
from shared.run_state import RunStatus
from shared.settings import Settings
from shared.store import projects, workers
from shared.store.runs import BATCH, CONVERSATION, Run
from tests.acceptance.conftest import wait_until
from tests.conftest import Caller
from tests.factories import some_runs
from tests.integration.worker.test_execution import now
from tests.model_server import ModelServer, stall
from worker.bell import Bell
from worker.execution import Execution
from worker.lease import Lease
from worker.model import Model
from worker.places import Places


@contextmanager
def a_bell(settings: Settings, database: Database, lease: Lease) -> Iterator[Bell]:
    """As a worker has it: its runs in threads."""
    with closing(Model(settings)) as model:
        bell = Bell(
            settings, database, lease, Execution(settings, database, lease, model), Places(settings)
        )
        bell.start()
        yield bell
        lease.draining = True
        bell.close()


def all_ended(database: Database, made: list[Run]) -> bool:
    return all(now(database, run).status is RunStatus.COMPLETED for run in made)


@pytest.mark.parametrize("lane", [CONVERSATION, BATCH])
@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_one_bell_is_enough_for_all_that_wait(
    settings: Settings,
    database: Database,
    caller: Caller,
    lease: Lease,
    model_server: ModelServer,
    lane: str,
    concurrency: int,
) -> None:
    made = some_runs(database, caller.project_id, 40, lane)
    with a_bell(replace(settings, concurrency=concurrency), database, lease) as bell:
        bell.answer()
        wait_until(lambda: all_ended(database, made), 20, "the runs to end")
    assert model_server.asked() == 40


@pytest.mark.parametrize("bound", ["of a model", "of a project"])
def test_one_bell_is_enough_where_only_some_may_be_held_at_once(
    settings: Settings,
    database: Database,
    caller: Caller,
    lease: Lease,
    model_server: ModelServer,
    bound: str,
) -> None:
    made = some_runs(database, caller.project_id, 20, CONVERSATION)
    if bound == "of a project":
        with database.autocommit() as tx:
            projects.set_share(tx, caller.project_id, weight=None, running_runs=2)
    bounded = replace(settings, model_concurrency=2 if bound == "of a model" else 0)
    with a_bell(bounded, database, lease) as bell:
        bell.answer()
        wait_until(lambda: all_ended(database, made), 20, "the runs to end")


def test_a_full_worker_takes_the_next_when_one_ends_and_none_when_it_is_to_end(
    settings: Settings,
    database: Database,
    caller: Caller,
    lease: Lease,
    model_server: ModelServer,
) -> None:
    go = threading.Event()
    model_server.script(stall(go), stall(go))
    made = some_runs(database, caller.project_id, 4, CONVERSATION)
    with a_bell(replace(settings, concurrency=2), database, lease) as bell:
        answering = threading.Thread(target=bell.answer)
        answering.start()
        model_server.wait_until_asked(2)
        assert [now(database, run).status for run in made[2:]] == [RunStatus.QUEUED] * 2
        lease.draining = True
        answering.join(10)
        go.set()
        wait_until(lambda: all_ended(database, made[:2]), 20, "the held runs to end")
        assert [now(database, run).status for run in made[2:]] == [RunStatus.QUEUED] * 2


def test_a_bell_that_finds_no_database_leaves_all_places_free(
    settings: Settings,
    database: Database,
    caller: Caller,
    lease: Lease,
    model_server: ModelServer,
) -> None:
    made = some_runs(database, caller.project_id, 3, CONVERSATION)
    with a_bell(replace(settings, concurrency=1), database, lease) as bell:
        with database.autocommit() as tx:
            tx.execute("ALTER TABLE runs RENAME TO gone")
        with pytest.raises(Exception, match="runs"):
            bell.answer()
        with database.autocommit() as tx:
            tx.execute("ALTER TABLE gone RENAME TO runs")
            assert workers.heartbeat(tx, lease.worker_id)
        bell.answer()
        wait_until(lambda: all_ended(database, made), 20, "the runs to end")
