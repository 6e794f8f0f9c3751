"""The files of counts: no count is lost with its process, and no file is left over."""

from collections.abc import Iterator

import pytest

from api.counts import Counts

KINDS = ("counter", "histogram", "gauge_livesum")


@pytest.fixture
def counts() -> Iterator[Counts]:
    counts = Counts()
    yield counts
    counts.remove()
    assert not counts.directory.exists()


def count(counts: Counts, pid: int, text: str) -> None:
    for kind in KINDS:
        (counts.directory / f"{kind}_{pid}.db").write_text(text)


def files(counts: Counts) -> dict[str, str]:
    return {file.name: file.read_text() for file in counts.directory.iterdir()}


def test_what_a_process_leaves_is_taken_over_once_and_what_it_held_is_gone(counts: Counts) -> None:
    count(counts, 1, "first")
    count(counts, 2, "second")
    assert counts.next_left() is None
    counts.leave(1)
    left = counts.next_left()
    assert left == 1
    assert counts.next_left() is None
    counts.take_over(left, 3)
    assert files(counts) == {
        "counter_3.db": "first",
        "histogram_3.db": "first",
        **{f"{kind}_2.db": "second" for kind in KINDS},
    }


def test_a_process_that_counted_nothing_leaves_nothing(counts: Counts) -> None:
    counts.leave(1)
    left = counts.next_left()
    assert left == 1
    counts.take_over(left, 2)
    assert files(counts) == {}


def test_what_nobody_takes_over_stays(counts: Counts) -> None:
    count(counts, 1, "first")
    counts.leave(1)
    assert files(counts) == {"counter_1.db": "first", "histogram_1.db": "first"}


def test_prometheus_client_is_told_where(counts: Counts) -> None:
    assert counts.environment() == [f"PROMETHEUS_MULTIPROC_DIR={counts.directory}"]
    assert counts.directory.stat().st_mode & 0o777 == 0o700
