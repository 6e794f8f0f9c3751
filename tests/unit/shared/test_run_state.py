from hypothesis import given
from hypothesis import strategies as st

from shared.run_state import ACTIVE, NEXT, STOPPED, TERMINAL, RunStatus, before


def test_every_status_says_what_may_follow() -> None:
    assert NEXT.keys() == set(RunStatus)


def test_a_run_is_either_active_or_at_its_end() -> None:
    assert {"completed", "incomplete", "failed", "cancelled", "expired"} == TERMINAL
    assert set(RunStatus) - TERMINAL == ACTIVE
    assert TERMINAL | {RunStatus.REQUIRES_ACTION} == STOPPED


def test_only_submitted_tool_outputs_queue_a_run_again() -> None:
    assert before(RunStatus.QUEUED) == ["requires_action"]


def test_every_active_run_can_expire() -> None:
    assert set(before(RunStatus.EXPIRED)) == ACTIVE


@given(st.lists(st.sampled_from(RunStatus), max_size=30))
def test_a_random_walk_never_leaves_an_end(wishes: list[RunStatus]) -> None:
    status = RunStatus.QUEUED
    for wish in wishes:
        if wish in NEXT[status]:
            assert status not in TERMINAL
            assert status.value in before(wish)
            status = wish
