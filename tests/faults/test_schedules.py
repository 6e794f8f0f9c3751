"""A few schedules of faults, as part of every test run; `make faults` plays more and longer ones."""

from collections.abc import Iterator

import pytest

from shared.settings import Settings
from tests.faults.fault import FAULTS
from tests.faults.runner import play
from tests.faults.schedule import Schedule
from tests.faults.stage import Stage
from tests.faults.table import shown

# Those that are over soon. The two numbers make of them faults of workers, API, Redis, PostgreSQL.
SHORT = [fault for fault in FAULTS if fault.seconds <= 5]
SETTINGS = Settings(run_seconds=90, lease_seconds=4, log_level="INFO")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("faults"), SETTINGS) as stage:
        yield stage


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("faults")
@pytest.mark.parametrize("seed", [6, 11])
def test_no_run_is_lost_doubled_or_stuck_under_a_schedule_of_faults(
    stage: Stage, seed: int
) -> None:
    outcome = play(Schedule.of(seed, SHORT, most=3, clients=6), stage)
    assert not outcome.violations, shown(outcome)
