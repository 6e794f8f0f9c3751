"""What a worker asks for when it claims: see worker/turns.py."""

from typing import cast

from shared.store.claims import ClaimedRun
from shared.store.runs import BATCH, CONVERSATION
from worker.turns import Turns


class ARun:
    weight = 1

    def __init__(self, lane: str, project_id: str = "proj_a") -> None:
        self.lane = lane
        self.project_id = project_id


def a_run(lane: str, project_id: str = "proj_a") -> ClaimedRun:
    return cast("ClaimedRun", ARun(lane, project_id))


def test_batches_have_one_turn_in_sixteen_beside_any_flood_of_conversations() -> None:
    turns = Turns()
    lanes = []
    for _ in range(64):
        turn = turns.next()
        lanes.append(turn.lane)
        turns.took(turn, [a_run(CONVERSATION)])
    assert lanes.count(BATCH) == 4


def test_each_lane_has_a_round_of_its_own() -> None:
    turns = Turns()
    for lane, project_id in ((BATCH, "proj_b"), (CONVERSATION, "proj_a")):
        turns.took(turns.next(), [a_run(lane, project_id)])
    turn = turns.next()
    assert turn.since.strip() == "proj_a"
    assert turn.other_since.strip() == "proj_b"


def test_of_some_runs_taken_at_once_the_last_in_the_order_of_turns_says_who_is_next() -> None:
    turns = Turns()
    turns.took(turns.next(8), [a_run(CONVERSATION, f"proj_{name}") for name in "acb"])
    assert turns.next().since.strip() == "proj_c"
    wrapped = [a_run(CONVERSATION, f"proj_{name}") for name in "adb"]
    turns.took(turns.next(8), wrapped)
    assert turns.next().since.strip() == "proj_b"
