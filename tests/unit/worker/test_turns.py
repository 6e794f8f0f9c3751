"""What a worker asks for when it claims: see worker/turns.py."""

from typing import cast

import pytest

from shared.store.lanes import Turn
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
    turns.took(turn, [run])
    return run


def may_be_of_a_batch(turn: Turn) -> bool:
    return (turn.most_of_lane if turn.lane == BATCH else turn.most_of_other) > 0


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (2, 1), (8, 7), (9, 7), (128, 112)])
def test_an_eighth_of_a_worker_is_kept_for_conversations(concurrency: int, most: int) -> None:
    turns = Turns(concurrency)
    asked = [turns.next() for _ in range(most + 1)]
    assert [may_be_of_a_batch(turn) for turn in asked] == [True] * most + [False]


@pytest.mark.parametrize("taken", [None, CONVERSATION])
def test_what_was_no_run_of_a_batch_keeps_no_place_of_the_batches(taken: str | None) -> None:
    turns = Turns(2)
    for _ in range(100):
        turn = turns.next()
        assert may_be_of_a_batch(turn)
        turns.took(turn, [a_run(taken)] if taken else [])


def test_a_run_of_a_batch_that_ends_makes_room_for_the_next() -> None:
    turns = Turns(2)
    for _ in range(100):
        run = take(turns, BATCH)
        turn = turns.next()
        assert not may_be_of_a_batch(turn)
        assert turns.took(turn, [])
        turns.gave_back(run)


def test_batches_have_one_turn_in_sixteen_beside_any_flood_of_conversations() -> None:
    turns = Turns(128)
    lanes = []
    for _ in range(64):
        turn = turns.next()
        lanes.append(turn.lane)
        turns.took(turn, [a_run(CONVERSATION)])
    assert lanes.count(BATCH) == 4


def test_each_lane_has_a_round_of_its_own() -> None:
    turns = Turns(128)
    for lane, project_id in ((BATCH, "proj_b"), (CONVERSATION, "proj_a")):
        turns.took(turns.next(), [a_run(lane, project_id)])
    turn = turns.next()
    assert turn.since.strip() == "proj_a"
    assert turn.other_since.strip() == "proj_b"


def test_of_some_runs_taken_at_once_the_last_in_the_order_of_turns_says_who_is_next() -> None:
    turns = Turns(128)
    turns.took(turns.next(8), [a_run(CONVERSATION, f"proj_{name}") for name in "acb"])
    assert turns.next().since.strip() == "proj_c"
    wrapped = [a_run(CONVERSATION, f"proj_{name}") for name in "adb"]
    turns.took(turns.next(8), wrapped)
    assert turns.next().since.strip() == "proj_b"


@pytest.mark.parametrize(
    ("found", "left"),
    [
        ([BATCH] * 7, True),
        ([BATCH] * 8, True),
        ([BATCH] * 6, False),
        ([CONVERSATION] * 8, False),
        ([CONVERSATION] + [BATCH] * 7, True),
        ([], False),
    ],
)
def test_a_claim_that_found_as_many_of_a_batch_as_may_be_held_may_have_left_some(
    found: list[str], left: bool
) -> None:
    turns = Turns(8)
    assert turns.took(turns.next(8), [a_run(lane) for lane in found]) is left


def test_as_many_of_a_batch_as_were_wanted_leave_nothing_that_a_next_claim_does_not_find() -> None:
    turns = Turns(128)
    assert turns.took(turns.next(8), [a_run(BATCH)] * 8) is False
