"""Workers that die, freeze, are stopped, and are killed by what they are asked."""

import signal
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.ids import random_text
from tests.acceptance.conftest import wait_until
from tests.faults.clients import Client
from tests.faults.fault import LOST_ANSWERS, SLOW_ANSWERS, Fault
from tests.faults.ledger import Ledger
from tests.faults.model import expected_answer
from tests.faults.stage import START_SECONDS, WORKERS, Stage, freeze, thaw
from tests.model_server import after, say, stall

CLOCK = Path(__file__).parents[1] / "clock"


class Killed(Fault):
    name = "worker: killed"
    rows = (1, 2, 62)
    seconds = 5.0
    crashes = 1

    def inject(self, stage: Stage) -> None:
        victim = stage.workers[0]
        wait_until(lambda: bool(stage.held_by(victim)), 10, "a run to be held")
        held = stage.held_by(victim)
        stage.kill_worker(victim)
        self.strikes(held)

    def heal(self, stage: Stage) -> None:
        stage.mend_workers()


class AllKilled(Fault):
    name = "worker: all killed, others come later"
    rows = (4, 46)
    seconds = 3.0
    crashes = 2

    def inject(self, stage: Stage) -> None:
        for worker in stage.workers:
            stage.kill_worker(worker)

    def heal(self, stage: Stage) -> None:
        """Counts from when the others are there: how long a start takes says little of Treadle."""
        stage.mend_workers()
        wait_until(lambda: stage.living_workers() >= WORKERS, START_SECONDS, "the new workers")


class Frozen(Fault):
    name = "worker: frozen past its lease, then thawed"
    rows = (5,)
    crashes = 1

    def __init__(self) -> None:
        super().__init__()
        self.pid = 0

    def inject(self, stage: Stage) -> None:
        victim = stage.workers[0]
        wait_until(lambda: bool(stage.held_by(victim)), 10, "a run to be held")
        self.pid = victim.pid
        held = stage.held_by(victim)
        freeze(self.pid)
        self.strikes(held)
        time.sleep(stage.settings.lease_seconds + 3 * stage.settings.sweep_seconds)

    def heal(self, stage: Stage) -> None:
        thaw(self.pid)


class FrozenBriefly(Fault):
    name = "worker: frozen for less than its lease"
    rows = (5,)
    seconds = 1.5

    def inject(self, stage: Stage) -> None:
        freeze(stage.workers[0].pid)

    def heal(self, stage: Stage) -> None:
        thaw(stage.workers[0].pid)


class Stopped(Fault):
    name = "worker: told to end"
    rows = (3, 47)
    crashes = 1

    def inject(self, stage: Stage) -> None:
        victim = stage.workers[0]
        wait_until(lambda: bool(stage.held_by(victim)), 10, "a run to be held")
        held = stage.held_by(victim)
        victim.send_signal(signal.SIGTERM)
        self.strikes(held)
        victim.wait(15)

    def heal(self, stage: Stage) -> None:
        stage.mend_workers()


class RollingRestart(Fault):
    name = "worker: one after the other replaced"
    rows = (47,)
    seconds = 0.5
    crashes = 2

    def inject(self, stage: Stage) -> None:
        for worker in list(stage.workers):
            worker.send_signal(signal.SIGTERM)
            worker.wait(15)
            stage.mend_workers()
            wait_until(lambda: stage.living_workers() >= WORKERS, START_SECONDS, "the new worker")

    def heal(self, stage: Stage) -> None:
        stage.mend_workers()


class Poisoned(Fault):
    name = "worker: a question kills whoever is asked it"
    rows = (36,)
    seconds = 1.0
    crashes = 3

    def inject(self, stage: Stage) -> None:
        """Beside it the workers hold questions that take their time and harm nobody."""
        client = Client(f"poisoner-{random_text(8)}", stage.base_url, stage.secrets, 0, Ledger())
        slow = [client.question(" slowly") for _ in range(6)]
        for question in slow:
            stage.model.when(question, after(12, say(expected_answer(question))))
        innocent = [client.ask(client.thread(), question) for question in slow]
        for question in slow:
            stage.model.wait_until_asked(1, question)
        poison = client.question(" deadly")
        stage.model.when(poison, stall())
        poisonous = client.ask(client.thread(), poison)
        self.doomed = {poisonous.id}
        for deaths in range(1, 4):
            stage.model.wait_until_asked(deaths, poison, seconds=60)
            (victim,) = [one for one in stage.workers if poisonous.id in stage.held_by(one)]
            stage.kill_worker(victim)
            stage.mend_workers()
        assert client.wait_for(poisonous).status == "failed"
        assert [client.wait_for(run).status for run in innocent] == ["completed"] * len(slow)

    def heal(self, stage: Stage) -> None:
        stage.mend_workers()


class ClocksWrong(Fault):
    name = "clocks: one worker an hour ahead, one behind, the API ahead"
    rows = (37,)
    seconds = 4.0
    permits = frozenset({LOST_ANSWERS, SLOW_ANSWERS})
    crashes = 4  # all are replaced, twice

    def inject(self, stage: Stage) -> None:
        wrong = [{"PYTHONPATH": str(CLOCK), "CLOCK_ERROR_SECONDS": s} for s in ("3600", "-3600")]
        replace_all(stage, wrong[0], wrong)
        # Only what the clock really moved is hurt.
        log = stage.stack.logs / f"worker-{stage.stack.running.index(stage.workers[-1])}.log"
        hour = f'"at": "{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:}'
        assert hour in log.read_text(), "no worker lives in the past"

    def heal(self, stage: Stage) -> None:
        replace_all(stage, {}, [{}] * WORKERS)


def replace_all(stage: Stage, of_api: dict[str, str], of_workers: Sequence[dict[str, str]]) -> None:
    """By others with these environments; the old ones end when the new ones serve."""
    old_workers, old_api = list(stage.workers), stage.api
    for environment in of_workers:
        stage.start_worker(**environment)
    stage.stack.environment = of_api
    stage.start_api()
    stage.stack.environment = {}
    everybody = len(old_workers) + len(of_workers)
    wait_until(lambda: stage.living_workers() >= everybody, START_SECONDS, "the new workers")
    for old in [*old_workers, old_api]:
        assert old is not None
        old.send_signal(signal.SIGTERM)
        old.wait(20)
    stage.workers = [one for one in stage.workers if one not in old_workers]
