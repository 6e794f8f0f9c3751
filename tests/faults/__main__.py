"""`python -m tests.faults --seeds 10`: many schedules, and a table of what came of them."""

import argparse
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from shared.settings import Settings
from tests.faults.runner import play
from tests.faults.schedule import Schedule, named
from tests.faults.stage import Stage
from tests.faults.table import Outcome, merged, shown

SETTINGS = Settings(run_seconds=90, log_level="INFO")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many schedules")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first one's number")
    parser.add_argument("--faults", type=int, default=12, help="faults in each schedule")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--logs", type=Path, help="keep the processes' logs in this directory")
    asked = parser.parse_args(arguments)
    schedules = [
        Schedule.of(seed, named(asked.only), asked.faults)
        for seed in range(asked.first, asked.first + asked.seeds)
    ]
    with tempfile.TemporaryDirectory(prefix="treadle-faults-") as temporary:
        outcomes = list(play_all(schedules, asked.logs or Path(temporary)))
    outcome = merged(outcomes)
    say(f"\n{shown(outcome)}")
    return 1 if outcome.violations else 0


def play_all(schedules: list[Schedule], directory: Path) -> Iterator[Outcome]:
    """On one stage, as long as nothing is found: what may be broken is not used again."""
    waiting = deque(schedules)
    while waiting:
        place = directory / str(waiting[0].seed)
        place.mkdir(parents=True, exist_ok=True)
        with Stage(place, SETTINGS) as stage:
            found = False
            while waiting and not found:
                schedule = waiting.popleft()
                outcome = play(schedule, stage)
                found = bool(outcome.violations)
                names = ", ".join(turn.fault.name for turn in schedule.turns)
                say(f"{schedule.seed}: {len(outcome.violations)} violations: {names}")
                yield outcome


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
