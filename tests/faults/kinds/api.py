"""API processes that die, freeze and are replaced, and answers that get lost on their way."""

import os
import signal
import time

from tests.acceptance.conftest import wait_until
from tests.faults.fault import LOST_ANSWERS, SLOW_ANSWERS, Fault
from tests.faults.stage import START_SECONDS, Stage, freeze, thaw


class ProcessKilled(Fault):
    name = "api: a process is killed"
    rows = (6,)
    permits = frozenset({LOST_ANSWERS, SLOW_ANSWERS})

    def inject(self, stage: Stage) -> None:
        for pid in stage.api_children():
            os.kill(pid, signal.SIGKILL)

    def heal(self, stage: Stage) -> None:
        wait_until(stage.is_ready, START_SECONDS, "the API to start processes anew")


class Killed(Fault):
    name = "api: killed with all its processes"
    rows = (7,)
    permits = frozenset({LOST_ANSWERS, SLOW_ANSWERS})

    def inject(self, stage: Stage) -> None:
        assert stage.api is not None
        for pid in [stage.api.pid, *stage.api_children()]:
            os.kill(pid, signal.SIGKILL)
        stage.api.wait(10)

    def heal(self, stage: Stage) -> None:
        stage.start_api()


class MasterKilled(Fault):
    name = "api: its listening process is killed"
    rows = (7,)
    permits = frozenset({LOST_ANSWERS, SLOW_ANSWERS})

    def inject(self, stage: Stage) -> None:
        """Its children notice that they are orphans, and end by themselves."""
        assert stage.api is not None
        children = stage.api_children()
        stage.api.kill()
        stage.api.wait(10)
        wait_until(lambda: not any(map(_lives, children)), 20, "the orphans to end")

    def heal(self, stage: Stage) -> None:
        stage.start_api()


class Restarted(Fault):
    name = "api: told to end, and another started"
    rows = (8, 47)
    seconds = 0.5
    permits = frozenset({LOST_ANSWERS, SLOW_ANSWERS})

    def inject(self, stage: Stage) -> None:
        assert stage.api is not None
        stage.api.send_signal(signal.SIGTERM)
        stage.api.wait(20)

    def heal(self, stage: Stage) -> None:
        stage.start_api()


class Frozen(Fault):
    name = "api: its processes are frozen"
    rows = (6,)
    seconds = 3.0

    def inject(self, stage: Stage) -> None:
        self.pids = stage.api_children()
        for pid in self.pids:
            freeze(pid)

    def heal(self, stage: Stage) -> None:
        for pid in self.pids:
            thaw(pid)


class AnswersLost(Fault):
    name = "api: answers are lost after the commit"
    rows = (38,)
    seconds = 3.0
    permits = frozenset({LOST_ANSWERS, SLOW_ANSWERS})

    def inject(self, stage: Stage) -> None:
        """Requests go through; what comes back does not, and the connection breaks."""
        stage.to_api.deaf = True

    def heal(self, stage: Stage) -> None:
        stage.to_api.cut()
        stage.to_api.deaf = False


class Disconnected(Fault):
    name = "api: connections break again and again"
    rows = (38, 44)
    permits = frozenset({LOST_ANSWERS, SLOW_ANSWERS})

    def inject(self, stage: Stage) -> None:
        for _ in range(8):
            time.sleep(0.3)
            stage.to_api.cut()

    def heal(self, stage: Stage) -> None:
        stage.to_api.accept()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
