"""Runs that have lost so many workers that the next loss fails them. One of them may be the cause,
and the others were only held beside it."""

from dataclasses import replace

import pytest

from shared.db import Database
from shared.store import losses, workers
from shared.store.claims import ClaimedRun
from shared.store.runs import Run
from tests.conftest import Caller
from tests.factories import a_claim, a_run, claim_one
from tests.integration.worker.test_execution import now
from tests.model_server import ModelServer
from worker.bell import Bell
from worker.lease import Lease


@pytest.fixture
def suspects(database: Database, caller: Caller) -> list[Run]:
    made = [a_run(database, caller.project_id) for _ in range(2)]
    with database.autocommit() as tx:
        tx.execute("UPDATE runs SET lapses = %(lapses)s", {"lapses": losses.MOST_LAPSES - 1})
    return made


def claim(database: Database, worker_id: str) -> ClaimedRun | None:
    with database.autocommit() as tx:
        return claim_one(tx, worker_id)


def test_a_worker_holds_one_of_them_at_a_time(
    database: Database, caller: Caller, suspects: list[Run], lease: Lease
) -> None:
    fresh = a_run(database, caller.project_id)
    with database.transaction() as tx:
        other = workers.register(tx)
    claimed = [claim(database, lease.worker_id) for _ in range(3)]
    assert [run and run.id for run in claimed] == [suspects[0].id, fresh.id, None]
    elsewhere = claim(database, other)
    assert elsewhere is not None
    assert elsewhere.id == suspects[1].id


def test_the_next_is_claimed_when_the_first_has_ended(
    database: Database, suspects: list[Run], worker: Bell, model_server: ModelServer
) -> None:
    worker.answer()
    assert [now(database, run).status for run in suspects] == ["completed", "completed"]


def test_of_two_claimed_in_the_same_moment_one_is_given_back(
    database: Database,
    caller: Caller,
    worker: Bell,
    lease: Lease,
    model_server: ModelServer,
) -> None:
    first, second = (a_run(database, caller.project_id) for _ in range(2))
    with database.autocommit() as tx:
        # Its own claim did not see the other's yet.
        unseen = replace(a_claim(tx, first), lapses=losses.MOST_LAPSES - 1)
        tx.execute(
            "UPDATE runs SET lapses = %(lapses)s WHERE id = %(id)s",
            {"lapses": losses.MOST_LAPSES - 1, "id": second.id},
        )
    with lease.holding(unseen):
        with database.autocommit() as tx:
            taken = claim_one(tx, lease.worker_id)
        assert taken is not None
        worker._execution.execute(taken)
        assert now(database, second).worker_id is None
        assert model_server.asked() == 0
    worker.answer()
    assert now(database, second).status == "completed"


def test_the_run_that_kills_its_workers_fails_and_those_beside_it_do_not(
    database: Database, caller: Caller
) -> None:
    poisonous, *beside = (a_run(database, caller.project_id) for _ in range(4))
    for _ in range(losses.MOST_LAPSES):
        with database.transaction() as tx:
            worker_id = workers.register(tx)
        while claim(database, worker_id):
            pass
        with database.autocommit() as tx:
            tx.execute("UPDATE workers SET lost_at = now()")
            losses.fail_poisonous(tx, 10, {})
            losses.release_lost(tx, 10)
    assert now(database, poisonous).status == "failed"
    assert {now(database, run).status for run in beside} == {"in_progress"}
