"""Plays a schedule on a stage, while clients work, and has the end judged."""

import time
import traceback

import openai

from tests.acceptance.conftest import wait_until
from tests.faults.clients import PATIENCE_SECONDS, Client, GivenUpError
from tests.faults.fault import Bout
from tests.faults.judge import Judge
from tests.faults.ledger import Ledger
from tests.faults.schedule import Schedule, Turn
from tests.faults.stage import START_SECONDS, WORKERS, Stage
from tests.faults.table import Outcome


def play(schedule: Schedule, stage: Stage) -> Outcome:
    return Runner(stage, schedule).play()


class Runner:
    def __init__(self, stage: Stage, schedule: Schedule) -> None:
        self._stage = stage
        self._schedule = schedule
        self.ledger = Ledger()
        self.bouts: list[Bout] = []
        self._clients = [
            Client(f"{schedule.seed}.{n}", stage.base_url, stage.secrets, n % 2, self.ledger)
            for n in range(schedule.clients)
        ]

    def play(self) -> Outcome:
        for client in self._clients:
            client.start()
        for number, turn in enumerate(self._schedule.turns):
            self._play(number, turn)
        self._let_clients_end()
        return Judge(self._stage, self.ledger, self.bouts).judge()

    def _play(self, number: int, turn: Turn) -> None:
        fault = turn.fault()
        began, self.ledger.bout = time.time(), number
        time.sleep(turn.lead)
        window = self.ledger.open_window(fault.permits)
        self.bouts.append(Bout(number, fault, began, window))
        try:
            fault.inject(self._stage)
            time.sleep(fault.seconds)
        except (AssertionError, openai.OpenAIError, GivenUpError):
            self.ledger.violate("not as it should be", traceback.format_exc()[-1500:])
        finally:
            fault.heal(self._stage)
        if not fault.struck_at:
            fault.strikes(self._stage.unfinished())
        window.ends = time.time()
        self._come_to_rest()
        time.sleep(turn.rest)

    def _come_to_rest(self) -> None:
        """Every part runs again, without help but that of whoever starts what has ended."""
        self._stage.mend_workers()
        wait_until(self._stage.is_ready, START_SECONDS, "the API to be ready again")
        alive = self._stage.living_workers
        wait_until(lambda: alive() >= WORKERS, START_SECONDS, "the workers to live again")

    def _let_clients_end(self) -> None:
        for client in self._clients:
            client.stopping.set()
        until = time.monotonic() + PATIENCE_SECONDS + self._stage.settings.run_seconds
        for client in self._clients:
            client.join(max(0.1, until - time.monotonic()))
            if client.is_alive():
                self.ledger.violate("client hangs", client.name)
