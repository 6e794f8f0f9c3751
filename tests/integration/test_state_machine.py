"""Random walks of callers, workers and misfortunes over one thread."""

import json
from dataclasses import dataclass
from typing import Any

import httpx2
import hypothesis
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from shared.db import Database
from shared.run_state import NEXT, TERMINAL, RunStatus
from shared.settings import Settings
from shared.store import workers
from tests.conftest import Caller
from tests.factories import a_thread, an_assistant, claim_one
from tests.integration.samples import TOOL
from tests.model_server import ModelServer, Reply, fail, say
from worker.bell import Bell
from worker.sweep import sweep

CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
REPLIES: dict[str, Reply] = {
    "answer": say("Because."),
    "call": say(None, finish="tool_calls", tool_calls=[CALL]),
    "cut": say("Bec", finish="length"),
    "refuse": fail(400),
    "falter": fail(500),
}


def _reachable() -> dict[RunStatus, set[RunStatus]]:
    reachable = {status: {status} for status in RunStatus}
    for _ in RunStatus:
        for status in RunStatus:
            for known in [*reachable[status]]:
                reachable[status] |= NEXT[known]
    return reachable


REACHABLE = _reachable()


@dataclass
class World:
    http: httpx2.Client
    database: Database
    project_id: str
    assistant_id: str
    worker: Bell
    model_server: ModelServer
    settings: Settings


@dataclass
class Waiting:
    in_line: bool


class Walk(RuleBasedStateMachine):
    world: World

    def __init__(self) -> None:
        super().__init__()
        self.world.model_server.reset()
        with self.world.database.autocommit() as tx:
            tx.execute("DELETE FROM threads")
        self.thread = f"threads/{a_thread(self.world.database, self.world.project_id, 'Why?').id}"
        self.statuses: dict[str, RunStatus] = {}
        self.order: list[str] = []

    @rule(queue=st.booleans())
    def say(self, queue: bool) -> None:
        self.post("messages", {"role": "user", "content": "And?"}, queue)

    @rule(queue=st.booleans())
    def ask(self, queue: bool) -> None:
        self.post("runs", {"assistant_id": self.world.assistant_id}, queue)

    @rule(reply=st.sampled_from(sorted(REPLIES)))
    def work(self, reply: str) -> None:
        with self.world.database.autocommit() as tx:
            tx.execute("UPDATE runs SET run_after = now() WHERE run_after < 'infinity'")
        self.world.model_server.script(REPLIES[reply])
        self.world.worker.answer()
        self.world.model_server.reset()

    @rule(data=st.data())
    def give_outputs(self, data: st.DataObject) -> None:
        if self.statuses:
            run_id = data.draw(st.sampled_from(sorted(self.statuses)))
            outputs = [{"tool_call_id": "call_1", "output": "blue"}]
            self.post(f"runs/{run_id}/submit_tool_outputs", {"tool_outputs": outputs})

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.statuses:
            run_id = data.draw(st.sampled_from(sorted(self.statuses)))
            self.post(f"runs/{run_id}/cancel", {})

    @rule()
    def take_and_vanish(self) -> None:
        with self.world.database.autocommit() as tx:
            lost = workers.register(tx)
            claim_one(tx, lost)
            tx.execute("UPDATE workers SET lost_at = now() WHERE id = %(id)s", {"id": lost})

    @rule()
    def sweep(self) -> None:
        with self.world.database.autocommit() as tx:
            sweep(tx, self.world.settings)

    @rule(data=st.data())
    def run_out_of_time(self, data: st.DataObject) -> None:
        if self.statuses:
            run_id = data.draw(st.sampled_from(sorted(self.statuses)))
            with self.world.database.autocommit() as tx:
                tx.execute("UPDATE runs SET expires_at = now() WHERE id = %(id)s", {"id": run_id})
            self.sweep()

    @invariant()
    def every_run_went_a_way_that_there_is(self) -> None:
        seen = {run["id"]: RunStatus(run["status"]) for run in self.listed("runs")}
        for run_id, before in self.statuses.items():
            assert seen[run_id] in REACHABLE[before]
        self.statuses = seen

    @invariant()
    def one_run_at_a_time_has_its_turn(self) -> None:
        with self.world.database.autocommit() as tx:
            waiting = tx.all(
                Waiting,
                "SELECT run_after = 'infinity' AS in_line FROM runs WHERE status NOT IN"
                " ('cancelled', 'completed', 'incomplete', 'failed', 'expired')",
            )
        turns = [one for one in waiting if not one.in_line]
        assert len(turns) == (1 if waiting else 0)

    @invariant()
    def what_was_said_keeps_its_order_and_each_answer_has_its_run(self) -> None:
        said = self.listed("messages")
        ids = [message["id"] for message in said]
        assert [one for one in ids if one in self.order] == self.order
        self.order = ids
        answered = [message["run_id"] for message in said if message["run_id"]]
        ended = [id_ for id_, status in self.statuses.items() if status == "completed"]
        assert set(ended) <= set(answered)
        assert len(answered) == len(set(answered))

    def post(self, path: str, body: dict[str, Any], queue: bool = False) -> None:
        headers = {"Treadle-Busy-Thread": "queue"} if queue else {}
        answer = self.world.http.post(
            f"{self.thread}/{path}", content=json.dumps(body), headers=headers
        )
        assert answer.status_code in (200, 400), answer.text

    def listed(self, what: str) -> list[Any]:
        return self.world.http.get(f"{self.thread}/{what}?limit=100&order=asc").json()["data"]


def test_whatever_happens_statuses_go_their_way_and_order_stays(
    settings: Settings,
    http: httpx2.Client,
    database: Database,
    caller: Caller,
    worker: Bell,
    model_server: ModelServer,
) -> None:
    project_id = caller.project_id
    assistant = an_assistant(database, project_id, tools=[TOOL])
    Walk.world = World(http, database, project_id, assistant.id, worker, model_server, settings)
    run_state_machine_as_test(
        Walk,
        settings=hypothesis.settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_every_end_can_be_reached_and_none_is_left() -> None:
    assert REACHABLE[RunStatus.QUEUED] >= TERMINAL
    assert all(REACHABLE[status] == {status} for status in TERMINAL)
