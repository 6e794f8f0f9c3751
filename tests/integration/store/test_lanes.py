"""Which run is next, with what a worker says of its turns and all of them of their room."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from shared.db import Database, Session
from shared.settings import Settings
from shared.store import claims, lanes, projects, workers
from shared.store.claims import ClaimedRun
from shared.store.lanes import Room, Turn
from shared.store.runs import BATCH
from tests.conftest import Caller, a_caller
from tests.factories import a_claim, some_runs
from worker.turns import Turns


@pytest.fixture
def worker_id(database: Database) -> str:
    with database.transaction() as tx:
        return workers.register(tx)


@pytest.fixture
def other(database: Database, caller: Caller) -> Caller:
    """Made after the caller, so its project's id stands behind."""
    return a_caller(database, "other")


def claim(
    database: Database, worker_id: str, turn: Turn = Turn(), room: Room = Room()
) -> ClaimedRun | None:
    with database.transaction() as tx:
        claimed = claims.claim(tx, worker_id, turn, room)
        return claimed[0] if claimed else None


def drain(
    database: Database, worker_id: str, turns: Turns, room: Room = Room()
) -> Iterator[ClaimedRun]:
    while True:
        turn = turns.next()
        run = claim(database, worker_id, turn, room)
        turns.took(turn, [run] if run else [])
        if run is None:
            return
        yield run


def wait(database: Database, seconds: float) -> None:
    """As if they had waited for so long."""
    with database.autocommit() as tx:
        tx.execute(
            "UPDATE runs SET run_after = run_after - make_interval(secs => %(seconds)s)",
            {"seconds": seconds},
        )


BOUNDED = Room(is_bounded=True)
ROOMS = pytest.mark.parametrize("room", [Room(), BOUNDED], ids=["unbounded", "bounded"])


@ROOMS
def test_a_conversation_is_taken_before_any_batch_that_came_before_it(
    database: Database, caller: Caller, worker_id: str, room: Room
) -> None:
    batch = some_runs(database, caller.project_id, 2, BATCH)
    (conversation,) = some_runs(database, caller.project_id, 1)
    claimed = [claim(database, worker_id, room=room) for _ in range(4)]
    assert [run and run.id for run in claimed] == [conversation.id, *(r.id for r in batch), None]


@ROOMS
def test_a_turn_of_the_batches_comes_before_conversations(
    database: Database, caller: Caller, worker_id: str, room: Room
) -> None:
    (conversation,) = some_runs(database, caller.project_id, 1)
    (batch,) = some_runs(database, caller.project_id, 1, BATCH)
    turn = Turn(lane=BATCH, other="conversation")
    claimed = [claim(database, worker_id, turn, room) for _ in range(2)]
    assert [run and run.id for run in claimed] == [batch.id, conversation.id]


@ROOMS
def test_a_worker_that_holds_enough_of_a_batch_takes_no_more_of_it(
    database: Database, caller: Caller, worker_id: str, room: Room
) -> None:
    some_runs(database, caller.project_id, 1, BATCH)
    assert claim(database, worker_id, Turn(most_of_other=0), room) is None


@ROOMS
def test_projects_take_turns_whatever_they_have_queued(
    database: Database,
    caller: Caller,
    other: Caller,
    worker_id: str,
    room: Room,
) -> None:
    some_runs(database, caller.project_id, 8)
    theirs = some_runs(database, other.project_id, 3)
    order = list(drain(database, worker_id, Turns(), room))
    assert [run.project_id == other.project_id for run in order] == [False, True] * 3 + [False] * 5
    assert [run.id for run in order if run.project_id == other.project_id] == [
        run.id for run in theirs
    ]


@ROOMS
def test_a_project_has_as_many_runs_taken_in_its_turn_as_its_weight(
    database: Database,
    caller: Caller,
    other: Caller,
    worker_id: str,
    room: Room,
) -> None:
    with database.transaction() as tx:
        projects.set_share(tx, caller.project_id, weight=3, running_runs=None)
    some_runs(database, caller.project_id, 8)
    some_runs(database, other.project_id, 3)
    order = list(drain(database, worker_id, Turns(), room))
    assert "".join("ba"[run.project_id == caller.project_id] for run in order) == "aaabaaabaab"


def test_the_newest_of_the_project_whose_turn_it_is_can_be_asked_for_where_it_has_a_backlog(
    database: Database, caller: Caller, other: Caller, worker_id: str
) -> None:
    mine = some_runs(database, caller.project_id, 3)
    theirs = some_runs(database, other.project_id, 3)
    behind = Turn(newest=True, since=other.project_id + " ")
    assert [run and run.id for run in (claim(database, worker_id, behind),)] == [mine[0].id]
    wait(database, 3)
    turns = (behind, Turn(newest=True), Turn(newest=True, since=caller.project_id + " "))
    claimed = [claim(database, worker_id, turn) for turn in turns]
    assert [run and run.id for run in claimed] == [mine[2].id, mine[1].id, theirs[2].id]


def test_the_newest_run_does_not_wait_for_its_own_backlog(
    database: Database, caller: Caller, worker_id: str
) -> None:
    some_runs(database, caller.project_id, 60)
    wait(database, 3)
    (newest,) = some_runs(database, caller.project_id, 1)
    order = [run.id for run in drain(database, worker_id, Turns())]
    # By lot: that it is not among the first fifty happens once in two million times.
    assert order.index(newest.id) < 50


@ROOMS
def test_nothing_is_left_where_a_lane_or_a_project_has_no_run(
    database: Database, caller: Caller, other: Caller, worker_id: str, room: Room
) -> None:
    runs = [
        *some_runs(database, caller.project_id, 5),
        *some_runs(database, other.project_id, 5, BATCH),
    ]
    order = [run.id for run in drain(database, worker_id, Turns(), room)]
    assert sorted(order) == sorted(run.id for run in runs)


@ROOMS
def test_claims_of_the_same_moment_find_a_run_each(
    database: Database, caller: Caller, other: Caller, worker_id: str, room: Room
) -> None:
    some_runs(database, caller.project_id, 1)
    some_runs(database, other.project_id, 1)
    if room.is_bounded:
        assert {run.project_id for run in drain(database, worker_id, Turns(), room)} == {
            caller.project_id,
            other.project_id,
        }
        return
    with database.transaction() as first, database.transaction() as second:
        claimed = claims.claim(first, worker_id) + claims.claim(second, worker_id)
    assert {run.project_id for run in claimed} == {caller.project_id, other.project_id}


def test_some_runs_are_taken_at_once_and_no_more_of_a_batch_than_may_be(
    database: Database, caller: Caller, other: Caller, worker_id: str
) -> None:
    conversations = some_runs(database, caller.project_id, 3)
    batch = some_runs(database, other.project_id, 5, BATCH)
    turn = Turn(most=8, most_of_lane=8, most_of_other=2, since=other.project_id)
    with database.autocommit() as tx:
        claimed = claims.claim(tx, worker_id, turn)
    assert sorted(run.id for run in claimed) == [run.id for run in (*conversations, *batch[:2])]


def test_a_project_has_no_more_runs_worked_on_than_it_may(
    database: Database, caller: Caller, other: Caller, worker_id: str
) -> None:
    some_runs(database, caller.project_id, 4)
    some_runs(database, other.project_id, 2)
    with database.transaction() as tx:
        assert not lanes.some_project_is_bounded(tx)
        projects.set_share(tx, caller.project_id, weight=None, running_runs=2)
        assert lanes.some_project_is_bounded(tx)
    held = [claim(database, worker_id, room=BOUNDED) for _ in range(5)]
    assert [run and run.project_id for run in held] == [caller.project_id] * 2 + [
        other.project_id
    ] * 2 + [None]
    assert held[0] is not None
    with database.transaction() as tx:
        claims.retry_later(tx, held[0], 60)
    after = claim(database, worker_id, room=BOUNDED)
    assert after is not None
    assert after.project_id == caller.project_id


def test_the_settings_bound_the_projects_without_a_number_of_their_own(
    database: Database, caller: Caller, other: Caller, worker_id: str
) -> None:
    some_runs(database, caller.project_id, 3)
    some_runs(database, other.project_id, 3)
    with database.transaction() as tx:
        projects.set_share(tx, other.project_id, weight=None, running_runs=0)
    room = Room(of_project=1, is_bounded=True)
    held = [claim(database, worker_id, room=room) for _ in range(5)]
    assert [run and run.project_id for run in held] == [caller.project_id] + [
        other.project_id
    ] * 3 + [None]


def test_a_run_that_was_taken_before_its_room_was_counted_is_not_taken_again(
    database: Database, caller: Caller, worker_id: str
) -> None:
    (run,) = some_runs(database, caller.project_id, 1)
    with database.transaction() as tx:
        a_claim(tx, run)
    assert claim(database, worker_id, room=BOUNDED) is None


def test_a_claim_is_planned_once_as_a_walk_through_an_index_whatever_was_in_the_table(
    settings: Settings, database: Database, caller: Caller, worker_id: str
) -> None:
    with closing(Session(settings.database_url)) as session:
        session.on_connect = claims.plan_once
        with session.autocommit() as tx:
            while not tx.value("SELECT count(*) FROM pg_prepared_statements"):
                assert claims.claim(tx, worker_id) == []
        some_runs(database, caller.project_id, 300)
        with session.autocommit() as tx, tx.atomic():
            assert len(claims.claim(tx, worker_id)) == 1
            assert tx.value("SELECT pg_stat_get_xact_numscans('runs'::regclass)") == 0
            assert tx.value("SELECT sum(custom_plans) FROM pg_prepared_statements") == 0
