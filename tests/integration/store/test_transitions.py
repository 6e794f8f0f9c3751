"""Changes of a run's status against a real PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from shared import events, queue
from shared.db import Database, Transaction
from shared.errors import Conflict, LeaseLost
from shared.run_state import RunStatus, before
from shared.store import claims, creation, runs, workers
from shared.store.runs import Run
from tests.conftest import Caller
from tests.factories import a_claim, a_run, another, bring_to, claim_one
from worker.model import no_usage

VERBS: dict[str, tuple[list[str], Callable[[Transaction, Run], Run]]] = {
    "complete": (
        before(RunStatus.COMPLETED),
        lambda tx, run: claims.finish(tx, run, RunStatus.COMPLETED, no_usage()),
    ),
    "end incomplete": (
        before(RunStatus.INCOMPLETE),
        lambda tx, run: claims.finish(tx, run, RunStatus.INCOMPLETE, no_usage()),
    ),
    "fail": (
        before(RunStatus.FAILED),
        lambda tx, run: claims.fail(tx, run, "server_error", "no", no_usage()),
    ),
    "retry later": (["in_progress"], lambda tx, run: claims.retry_later(tx, run, 5)),
}


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    heard: list[int] = []
    monkeypatch.setattr(queue, "ring", lambda bells=1: heard.append(bells))
    return heard


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    heard: list[str] = []
    monkeypatch.setattr(events, "publish_stopped", heard.append)
    return heard


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("status", [status for status in RunStatus if status != "queued"])
def test_a_verb_changes_a_run_only_from_where_the_state_machine_allows(
    database: Database, caller: Caller, verb: str, status: RunStatus
) -> None:
    allowed_from, act = VERBS[verb]
    run = a_run(database, caller.project_id, status=status)
    with database.autocommit() as tx:
        # Under the current fence, so that only the status can refuse.
        current = runs.get(tx, caller.project_id, run.thread_id, run.id)
        if status in allowed_from:
            act(tx, current)
            return
        with pytest.raises(LeaseLost):
            act(tx, current)
        assert runs.get(tx, caller.project_id, run.thread_id, run.id) == current


@pytest.mark.parametrize("verb", VERBS)
def test_a_worker_with_a_stale_fence_changes_nothing(
    database: Database, caller: Caller, verb: str
) -> None:
    _, act = VERBS[verb]
    run = a_run(database, caller.project_id)
    with database.transaction() as tx:
        stale = a_claim(tx, run)
        tx.execute("UPDATE runs SET worker_id = NULL")
        current = a_claim(tx, run)
    assert current.fence == stale.fence + 1
    with pytest.raises(LeaseLost), database.transaction() as tx:
        act(tx, stale)
    with database.transaction() as tx:
        act(tx, current)


def test_of_many_claims_at_once_one_wins_each_run(database: Database, caller: Caller) -> None:
    created = {a_run(database, caller.project_id).id for _ in range(5)}
    with database.transaction() as tx:
        worker_id = workers.register(tx)

    def claim(_: int) -> str | None:
        with database.autocommit() as tx:
            claimed = claim_one(tx, worker_id)
        return claimed and claimed.id

    with ThreadPoolExecutor(12) as pool:
        claimed = [run_id for run_id in pool.map(claim, range(12)) if run_id]
    assert sorted(claimed) == sorted(created)


def test_runs_are_claimed_in_the_order_they_were_created(
    database: Database, caller: Caller
) -> None:
    created = [a_run(database, caller.project_id).id for _ in range(4)]
    with database.transaction() as tx:
        worker_id = workers.register(tx)
        claimed = [claim_one(tx, worker_id) for _ in range(5)]
    assert [run and run.id for run in claimed] == [*created, None]


def test_a_worker_that_was_given_up_claims_nothing(database: Database, caller: Caller) -> None:
    a_run(database, caller.project_id)
    with database.transaction() as tx:
        worker_id = workers.register(tx)
        tx.execute("UPDATE workers SET lost_at = now()")
        assert claim_one(tx, worker_id) is None


def test_a_run_that_waits_for_later_is_not_claimed_yet(database: Database, caller: Caller) -> None:
    run = a_run(database, caller.project_id)
    with database.transaction() as tx:
        claims.retry_later(tx, a_claim(tx, run), 60)
        assert claim_one(tx, workers.register(tx)) is None
        waiting = runs.get(tx, caller.project_id, run.thread_id, run.id)
    assert waiting.status is RunStatus.IN_PROGRESS
    assert waiting.model_failures == 1


def test_a_second_run_on_a_busy_thread_is_refused(database: Database, caller: Caller) -> None:
    run = a_run(database, caller.project_id)
    with (
        pytest.raises(Conflict, match=f"already has an active run {run.id}"),
        database.transaction() as tx,
    ):
        creation.create(tx, another(run))


def test_postgresql_itself_refuses_a_second_active_run(database: Database, caller: Caller) -> None:
    run = a_run(database, caller.project_id)
    other = a_run(database, caller.project_id)
    with pytest.raises(psycopg.errors.UniqueViolation), database.transaction() as tx:
        tx.execute(
            "UPDATE runs SET thread_id = %(thread_id)s WHERE id = %(id)s",
            {"thread_id": run.thread_id, "id": other.id},
        )


@pytest.mark.parametrize(
    "nonsense",
    [
        "status = 'done'",
        "status = 'completed'",
        "status = 'failed', failed_at = now()",
        "completed_at = now()",
        "last_error = '{}'",
        "status = 'in_progress'",
        "worker_id = 'worker_1'",
        "status = 'requires_action', started_at = now()",
        "status = 'incomplete', started_at = now(), completed_at = now(), usage = '{}'",
    ],
)
def test_postgresql_itself_refuses_nonsense(
    database: Database, caller: Caller, nonsense: str
) -> None:
    a_run(database, caller.project_id)
    with pytest.raises(psycopg.errors.CheckViolation), database.transaction() as tx:
        tx.execute(f"UPDATE runs SET {nonsense}")  # pyright: ignore[reportArgumentType]  # noqa: S608


def test_the_bell_rings_after_the_commit_and_not_before(
    database: Database, caller: Caller, rung: list[int], published: list[str]
) -> None:
    run = a_run(database, caller.project_id)
    assert rung == [1]
    with database.transaction() as tx:
        ended = bring_to(tx, run, RunStatus.COMPLETED)
        assert published == []
    assert published == [ended.id]


def test_a_rolled_back_run_rings_no_bell(
    database: Database, caller: Caller, rung: list[int]
) -> None:
    run = a_run(database, caller.project_id, status=RunStatus.COMPLETED)
    rung.clear()

    def break_off() -> None:
        with database.transaction() as tx:
            creation.create(tx, another(run))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert rung == []


def test_a_stopping_worker_gives_back_all_that_it_holds(
    database: Database, caller: Caller, rung: list[int]
) -> None:
    run = a_run(database, caller.project_id)
    with database.transaction() as tx:
        held = a_claim(tx, run)
    rung.clear()
    with database.transaction() as tx:
        assert held.worker_id is not None
        released = claims.release(tx, held.worker_id)
    assert [one.id for one in released] == [run.id]
    assert rung == [1]
    assert released[0].lapses == 0
