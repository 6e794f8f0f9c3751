"""What a worker asks for when it claims: see worker/turns.py."""

from typing import cast

import pytest

from shared.store.runs import BATCH, CONVERSATION, ClaimedRun
from worker.turns import Turns


class ARun:
    weight = 1

    def __init__(self, lane: str, project_id: str = "proj_a") -> None:
        self.lane = lane
        self.project_id = project_id


def a_run(lane: str, project_id: str = "proj_a") -> ClaimedRun:
    return cast("ClaimedRun", ARun(lane, project_id))


def take(turns: Turns, lane: str) -> ClaimedRun:
    turn, run = turns.next(), a_run(lane)
    turns.took(turn, run)
    return run


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (2, 1), (8, 7), (9, 7), (128, 112)])
def test_an_eighth_of_a_worker_is_kept_for_conversations(concurrency: int, most: int) -> None:
    turns = Turns(concurrency)
    asked = [turns.next() for _ in range(most + 1)]
    assert [BATCH in (turn.lane, turn.other) for turn in asked] == [True] * most + [False]


@pytest.mark.parametrize("taken", [None, CONVERSATION])
def test_what_was_no_run_of_a_batch_keeps_no_place_of_the_batches(taken: str | None) -> None:
    turns = Turns(2)
    for _ in range(100):
        turn = turns.next()
        assert BATCH in (turn.lane, turn.other)
        turns.took(turn, a_run(taken) if taken else None)


def test_a_run_of_a_batch_that_ends_makes_room_for_the_next() -> None:
    turns = Turns(2)
    for _ in range(100):
        run = take(turns, BATCH)
        assert turns.next().other is None
        turns.took(turns.next(), None)
        turns.gave_back(run)


def test_batches_have_one_turn_in_sixteen_beside_any_flood_of_conversations() -> None:
    turns = Turns(128)
    lanes = []
    for _ in range(64):
        turn = turns.next()
        lanes.append(turn.lane)
        turns.took(turn, a_run(CONVERSATION))
    assert lanes.count(BATCH) == 4


def test_each_lane_has_a_round_of_its_own() -> None:
    turns = Turns(128)
    for lane, project_id in ((BATCH, "proj_b"), (CONVERSATION, "proj_a")):
        turns.took(turns.next(), a_run(lane, project_id))
    turn = turns.next()
    assert turn.since.strip() == "proj_a"
    assert turn.other_since.strip() == "proj_b"
