"""Rates: counted in Redis by all together, and while it is away by each process for itself."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cli.embedded.valkey import Valkey
from shared import rates
from shared.rates import take, take_and_tell
from shared.settings import Settings

# In memory a minute begins with the clock's, and with it one more may come.
FIFTY = (50, 51)


@pytest.fixture(autouse=True)
def configured(redis_url: str) -> None:
    rates.configure(Settings(redis_url=redis_url))


def taken(name: str, cost: int, per_minute: int, times: int) -> int:
    return sum(1 for _ in range(times) if take(name, cost, per_minute) == 0)


def another_process(redis_url: str) -> None:
    """What this one counted in memory is not known to it."""
    rates.configure(Settings(redis_url=redis_url))


def test_so_many_are_taken_in_a_minute_and_no_more(redis_url: str) -> None:
    assert taken("a", 1, 5, 4) == 4
    another_process(redis_url)
    assert taken("a", 1, 5, 4) == 1
    assert 0 < take("a", 1, 5) <= 61
    assert taken("b", 1, 5, 6) == 5


def test_many_at_once_take_no_more_than_there_is() -> None:
    with ThreadPoolExecutor(20) as pool:
        waits = [*pool.map(lambda _: take("a", 1, 30), range(100))]
    assert waits.count(0) == 30


def test_what_costs_more_leaves_less() -> None:
    assert take("a", 700, 1000) == 0
    assert take("a", 301, 1000) > 0
    assert take("a", 300, 1000) == 0


def test_what_costs_more_than_the_limit_takes_all_of_it() -> None:
    assert take("a", 5000, 1000) == 0
    assert take("a", 1, 1000) > 0


def test_what_is_left_is_told() -> None:
    first = take_and_tell("a", 1, 3)
    assert (first.wait_seconds, first.remaining) == (0, 2)
    assert 0 < first.reset_seconds <= 120
    assert take_and_tell("a", 2, 3).remaining == 0
    refused = take_and_tell("a", 1, 3)
    assert refused.remaining == 0
    assert 0 < refused.wait_seconds <= 61


def test_without_a_limit_nobody_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    another_process("redis://127.0.0.1:9/0")
    assert take("a", 1_000_000, 0) == 0
    assert caplog.messages == []
    assert take("a", 1, 5) == 0
    assert caplog.messages == ["rates counted without redis"]


def test_one_asks_whether_redis_is_back_while_the_others_go_on(redis_url: str) -> None:
    counters = rates._Counters(redis_url)
    counters._leave_alone(OSError("gone"))
    assert not counters._may_ask_redis()
    counters._asked_again_at = time.monotonic() - 1
    assert [counters._may_ask_redis() for _ in range(3)] == [True, False, False]


class TestRedisAway:
    @pytest.fixture
    def redis_url(self, tmp_path: Path) -> Iterator[str]:
        with Valkey(tmp_path / "own-valkey") as self.valkey:
            yield self.valkey.url

    @pytest.fixture(params=["stopped", "frozen"])
    def away(self, request: pytest.FixtureRequest, redis_url: str) -> Iterator[None]:
        take("before", 1, 5)
        if request.param == "stopped":
            self.valkey.stop()
            self.back = self.valkey.start
            yield
            return
        pid = self.valkey.process.pid
        assert pid is not None
        self.back = lambda: os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGSTOP)
        yield
        os.kill(pid, signal.SIGCONT)

    def test_each_process_counts_for_itself_and_hardly_waits(
        self, away: None, redis_url: str
    ) -> None:
        began = time.monotonic()
        for _ in range(2):
            another_process(redis_url)
            assert taken("a", 1, 50, 100) in FIFTY
            assert take("a", 1, 50) > 0
        # Asked 200 times, a frozen one would have taken 100 s.
        assert time.monotonic() - began < 20

    def test_when_it_is_back_all_count_together_again(
        self, away: None, redis_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rates, "_REST_SECONDS", 0.2)
        assert taken("a", 1, 50, 60) in FIFTY
        self.back()
        until = time.monotonic() + 20
        # Redis knows nothing of what was counted without it.
        while take("a", 1, 50) > 0:
            assert time.monotonic() < until
            time.sleep(0.02)
        another_process(redis_url)
        # A frozen one counts what it was asked while nobody waited for the answer.
        assert 0 < taken("a", 1, 50, 60) < 50
