from dataclasses import dataclass, field
from typing import cast

import pytest

from cli.embedded import supervision
from cli.embedded.supervision import LONGEST_PAUSE, Part, Watch


@dataclass
class FakeProcess:
    name: str = "The part"
    log: str = "part.log"
    running: bool = True
    exit_status: int = 1


@dataclass
class FakePart:
    process: FakeProcess = field(default_factory=FakeProcess)
    launches: int = 0
    comes_up: bool = True

    def launch(self) -> None:
        self.launches += 1
        self.process.running = self.comes_up

    def wait_ready(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Clock:
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(supervision, "time", clock)
    return clock


def _watch(part: FakePart, said: list[str]) -> Watch:
    return Watch(cast("Part", part), said.append, started_at=0.0)


def test_a_part_that_runs_is_left_alone(clock: Clock) -> None:
    part, said = FakePart(), []
    _watch(part, said).tend()
    assert (part.launches, said) == (0, [])


def test_a_part_that_ended_is_started_again_after_a_pause_and_once(clock: Clock) -> None:
    part, said = FakePart(FakeProcess(running=False)), []
    watch = _watch(part, said)
    for clock.now in (1.0, 1.1, 1.4):
        watch.tend()
    assert part.launches == 0
    clock.now = 1.6
    watch.tend()
    watch.tend()
    assert part.launches == 1
    assert said == ["The part ended (status 1); starting it again in 0.5 s. Its log is part.log"]


def test_a_part_that_keeps_ending_is_started_ever_more_seldom(clock: Clock) -> None:
    part, said = FakePart(FakeProcess(running=False), comes_up=False), []
    watch = _watch(part, said)
    for tick in range(10 * 60 * 10):
        clock.now = tick / 10
        watch.tend()
    assert 20 < part.launches < 30
    assert watch.pause == LONGEST_PAUSE


def test_a_part_that_ran_for_long_is_started_again_soon(clock: Clock) -> None:
    part, said = FakePart(FakeProcess(running=False)), []
    watch = _watch(part, said)
    watch.pause = LONGEST_PAUSE
    clock.now = 3600.0
    watch.tend()
    clock.now += 0.6
    watch.tend()
    assert part.launches == 1
