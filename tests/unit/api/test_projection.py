from typing import Any

from api.openai.projection import Projection
from tests.unit.worker.test_prompt import a_run

DELTA: dict[str, Any] = {
    "kind": "text",
    "step_id": "step_2",
    "message_id": "msg_2",
    "created_at": 1.0,
    "fence": 1,
    "at": 0,
    "text": "So.",
}


def test_what_is_said_before_the_rows_of_earlier_steps_were_seen_is_told_with_them() -> None:
    assert list(Projection(a_run()).hear({**DELTA, "after_steps": 1})) == []


def test_what_is_said_behind_the_steps_that_were_told_is_told_at_once() -> None:
    for delta in ({**DELTA, "after_steps": 0}, DELTA):
        names = [name for name, _ in Projection(a_run(tools=[])).hear(delta)]
        assert names[-1] == "thread.message.delta"
