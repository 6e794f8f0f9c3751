"""The arithmetic of docs/scale.md."""

from math import factorial

import pytest

from tests.bench import fleet
from tests.bench.queueing import constant, exponential, waits


def test_the_tables_of_the_page_follow_from_what_was_measured() -> None:
    page = fleet.PAGE.read_text()
    assert fleet.written(page, model_seconds=5.0) == page, "python -m tests.bench.fleet --write"


def test_what_was_measured_is_read_with_its_commas_and_what_is_missing_is_named() -> None:
    page = fleet.PAGE.read_text()
    assert fleet.measured(page).wal_bytes > 999
    with pytest.raises(AssertionError, match="worker, ms of CPU"):
        fleet.measured(page.replace("| worker, ms", "| workers, ms"))


@pytest.mark.parametrize(("servers", "held"), [(1, 0.5), (8, 0.8), (32, 0.9)])
def test_as_many_wait_as_erlang_says(servers: int, held: float) -> None:
    offered = servers * held
    full = offered**servers / factorial(servers) / (1 - held)
    expected = full / (sum(offered**n / factorial(n) for n in range(servers)) + full)
    found = waits(offered, servers, exponential(1.0), arrivals=300_000)
    assert sum(one > 0 for one in found) / len(found) == pytest.approx(expected, rel=0.1)


def test_they_wait_as_long_as_is_known_of_one_server() -> None:
    found = waits(0.5, 1, constant(1.0), arrivals=300_000)
    assert sum(found) / len(found) == pytest.approx(0.5, rel=0.1)
