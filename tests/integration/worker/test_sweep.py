"""The sweep finds what was lost."""

import time

import pytest

from shared import queue
from shared.db import Database, Session
from shared.run_state import ACTIVE, RunStatus
from shared.settings import Settings
from shared.store import losses, runs, workers
from shared.store.runs import Run
from tests.conftest import Caller
from tests.factories import a_claim, a_run, claim_one
from worker.lease import Lease
from worker.sweep import sweep


def round_of(database: Database, settings: Settings) -> None:
    with database.autocommit() as tx:
        sweep(tx, settings)


def now(database: Database, run: Run) -> Run:
    with database.autocommit() as tx:
        return runs.get(tx, run.project_id, run.thread_id, run.id)


def be_silent(database: Database, seconds: float) -> None:
    """All workers' last heartbeat is that long ago."""
    with database.autocommit() as tx:
        tx.execute(
            "UPDATE workers SET seen_at = now() - make_interval(secs => %(seconds)s)",
            {"seconds": seconds},
        )


def held_by_session(session: Session, run: Run) -> Run:
    with session.autocommit() as tx:
        return a_claim(tx, run)


def end(session: Session, database: Database) -> None:
    """Once PostgreSQL has noticed, which takes it a moment."""
    with session.autocommit() as tx:
        pid = {"pid": tx.value("SELECT pg_backend_pid()")}
    session.close()
    until = time.monotonic() + 10
    with database.autocommit() as tx:
        while tx.value("SELECT true FROM pg_stat_activity WHERE pid = %(pid)s", pid):
            assert time.monotonic() < until


def test_a_worker_whose_session_is_gone_loses_its_runs_without_waiting_for_the_lease(
    database: Database, settings: Settings, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    session = Session(settings.database_url)
    held_by_session(session, run)
    end(session, database)
    be_silent(database, 4)
    round_of(database, settings)
    released = now(database, run)
    assert (released.status, released.worker_id) == (RunStatus.IN_PROGRESS, None)
    assert released.lapses == 1


def test_a_worker_that_just_lost_its_session_has_a_moment_to_come_back(
    database: Database, settings: Settings, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    session = Session(settings.database_url)
    held_by_session(session, run)
    session.close()
    round_of(database, settings)
    assert now(database, run).worker_id is not None


def test_a_worker_with_a_session_keeps_its_runs_until_its_lease_is_over(
    database: Database, settings: Settings, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    session = Session(settings.database_url)
    held_by_session(session, run)
    be_silent(database, settings.lease_seconds - 5)
    round_of(database, settings)
    assert now(database, run).worker_id is not None
    be_silent(database, settings.lease_seconds + 1)
    round_of(database, settings)
    assert now(database, run).worker_id is None
    session.close()


def test_silence_does_not_count_while_nobody_listened(
    database: Database, settings: Settings, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    with database.transaction() as tx:
        a_claim(tx, run)
    be_silent(database, 3600)
    with database.autocommit() as tx:
        tx.execute("UPDATE sweeps SET swept_at = now() - interval '1 hour'")
        assert workers.take_sweep(tx, settings.sweep_seconds)
    round_of(database, settings)
    assert now(database, run).worker_id is not None
    with database.autocommit() as tx:
        tx.execute("UPDATE sweeps SET unbroken_since = now() - interval '1 hour'")
    round_of(database, settings)
    assert now(database, run).worker_id is None


def test_the_third_lapse_is_the_end(database: Database, settings: Settings, caller: Caller) -> None:
    run = a_run(database, caller.project_id)
    for lapse in range(1, losses.MOST_LAPSES + 1):
        with database.transaction() as tx:
            a_claim(tx, run)
            tx.execute("UPDATE workers SET seen_at = '-infinity'")
        round_of(database, settings)
        assert now(database, run).lapses == lapse
    ended = now(database, run)
    assert ended.status is RunStatus.FAILED
    assert ended.last_error is not None
    assert ended.last_error["code"] == "server_error"


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_a_run_whose_time_is_over_expires_from_every_active_status(
    database: Database, settings: Settings, caller: Caller, status: RunStatus
) -> None:
    run = a_run(database, caller.project_id, status=status)
    with database.autocommit() as tx:
        tx.execute("UPDATE runs SET expires_at = now()")
    round_of(database, settings)
    expired = now(database, run)
    assert (expired.status, expired.worker_id) == (RunStatus.EXPIRED, None)


def hanging() -> int | None:
    assert queue.flush(5)
    return queue.waiting()


def test_bells_are_rung_for_the_runs_that_wait_beyond_those_whose_bells_hang(
    database: Database, settings: Settings, caller: Caller
) -> None:
    for _ in range(17):
        a_run(database, caller.project_id)
    # Those that are rung in one moment share a bell, so how many hang is a matter of the moment.
    assert hanging() in range(3, 18)
    with queue.celery.connection_or_acquire() as connection:
        connection.default_channel.client.ltrim(queue.NAME, 0, 0)
    round_of(database, settings)
    assert hanging() == 3
    round_of(database, settings)
    assert hanging() == 3


def test_one_worker_sweeps_in_each_period(database: Database) -> None:
    with database.autocommit() as tx:
        assert workers.take_sweep(tx, 60)
        assert not workers.take_sweep(tx, 60)
        tx.execute("UPDATE sweeps SET swept_at = now() - interval '61 s'")
        assert workers.take_sweep(tx, 60)


def test_a_worker_that_was_given_up_registers_anew(database: Database, settings: Settings) -> None:
    session = Session(settings.database_url)
    lease = Lease(session)
    was = lease.worker_id
    be_silent(database, settings.lease_seconds + 1)
    round_of(database, settings)
    lease.beat()
    assert lease.worker_id != was
    session.close()


def test_a_worker_that_lost_its_session_is_known_by_its_new_one(
    database: Database, settings: Settings
) -> None:
    session = Session(settings.database_url)
    lease = Lease(session)
    was = lease.worker_id
    end(session, database)
    lease.beat()
    be_silent(database, settings.lease_seconds - 5)
    round_of(database, settings)
    lease.beat()
    assert lease.worker_id == was
    session.close()


def test_a_worker_whose_old_session_lingers_is_known_by_its_new_one_later(
    database: Database, settings: Settings
) -> None:
    session, lingering = Session(settings.database_url), Session(settings.database_url)
    lease = Lease(session)
    was = lease.worker_id
    end(session, database)
    with lingering.autocommit() as tx:
        workers.lock(tx, was)
    lease.beat()
    end(lingering, database)
    lease.beat()
    be_silent(database, settings.lease_seconds - 5)
    round_of(database, settings)
    lease.beat()
    assert lease.worker_id == was
    session.close()


def test_a_claim_whose_answer_was_lost_is_given_back(
    database: Database, settings: Settings, caller: Caller
) -> None:
    run = a_run(database, caller.project_id)
    session = Session(settings.database_url)
    lease = Lease(session)
    with database.autocommit() as tx:
        claimed = claim_one(tx, lease.worker_id)
    assert claimed is not None
    lease.beat()
    assert now(database, run).worker_id == lease.worker_id
    lease.beat()
    assert now(database, run).worker_id is None
    with database.autocommit() as tx:
        held = claim_one(tx, lease.worker_id)
    assert held is not None
    with lease.holding(held):
        lease.beat()
        lease.beat()
        assert now(database, run).worker_id == lease.worker_id
    session.close()
