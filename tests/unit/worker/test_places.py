"""How many runs a worker takes up: see worker/places.py."""

import threading
from collections.abc import Sequence
from typing import cast

import pytest

from shared.settings import Settings
from shared.store.claims import ClaimedRun
from shared.store.runs import BATCH, CONVERSATION
from worker import places as module
from worker.places import Free, Places, away


class ARun:
    def __init__(self, lane: str) -> None:
        self.lane = lane


def some_runs(count: int, lane: str) -> list[ClaimedRun]:
    return [cast("ClaimedRun", ARun(lane)) for _ in range(count)]


def a_worker(concurrency: int, connections: int = 256) -> Places:
    return Places(Settings(concurrency=concurrency, database_pool=connections))


def free(worker: Places) -> Free | None:
    return worker.wait_for_some(Once())


def take(worker: Places, runs: Sequence[ClaimedRun]) -> None:
    worker.took(runs, len(runs), len(runs))


def end(worker: Places, runs: Sequence[ClaimedRun]) -> None:
    for run in runs:
        with worker.working(run):
            pass


def finds_more(worker: Places) -> bool:
    return worker.wait_for_left(Once())


class Once:
    """Over when asked for the second time: who waits looks once."""

    def __init__(self) -> None:
        self._asked = 0

    def __call__(self) -> bool:
        self._asked += 1
        return self._asked > 1


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.001)


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (2, 1), (8, 7), (9, 7), (64, 56)])
def test_an_eighth_of_a_worker_is_kept_for_conversations(concurrency: int, most: int) -> None:
    worker = a_worker(concurrency)
    assert free(worker) == Free(concurrency, most)
    take(worker, some_runs(most, BATCH))
    left = concurrency - most
    assert free(worker) == (Free(left, 0) if left else None)


def test_a_run_that_ends_makes_room_for_the_next() -> None:
    worker = a_worker(2)
    conversation, batch = some_runs(1, CONVERSATION), some_runs(1, BATCH)
    take(worker, conversation)
    take(worker, batch)
    assert free(worker) is None
    end(worker, conversation)
    assert free(worker) == Free(1, 0)
    end(worker, batch)
    assert free(worker) == Free(2, 1)


def test_a_run_that_failed_makes_room_too() -> None:
    worker = a_worker(1)
    (run,) = some_runs(1, CONVERSATION)
    take(worker, [run])
    with pytest.raises(ZeroDivisionError), worker.working(run):
        raise ZeroDivisionError
    assert free(worker) == Free(1, 1)


def test_a_crowded_worker_takes_up_none_until_half_of_the_crowd_is_gone() -> None:
    worker = a_worker(128, connections=4)
    runs = some_runs(4, CONVERSATION)
    take(worker, runs)
    assert free(worker) is None
    end(worker, runs[:2])
    assert free(worker) is None
    end(worker, runs[2:3])
    assert free(worker) == Free(3, 1)


def test_a_batch_is_never_all_of_the_crowd() -> None:
    worker = a_worker(128, connections=16)
    take(worker, some_runs(8, BATCH))
    assert free(worker) == Free(8, 0)


def test_beside_a_conversation_and_a_moment_longer_a_batch_is_a_fifth_of_the_crowd() -> None:
    now = [0.0]
    worker = Places(Settings(concurrency=128, database_pool=20), lambda: now[0])
    assert free(worker) == Free(20, 10)
    runs = some_runs(1, CONVERSATION)
    take(worker, runs)
    now[0] = 60.0
    end(worker, runs)
    assert free(worker) == Free(20, 4)
    now[0] = 61.9
    assert free(worker) == Free(20, 4)
    now[0] = 62.1
    assert free(worker) == Free(20, 10)


def test_who_waits_for_another_server_is_not_of_the_crowd() -> None:
    worker = a_worker(128, connections=4)
    runs = some_runs(4, CONVERSATION)
    take(worker, runs)
    waiting, go = threading.Barrier(5), threading.Event()

    def work(run: ClaimedRun) -> None:
        with worker.working(run), away():
            waiting.wait(10)
            assert go.wait(10)

    threads = [threading.Thread(target=work, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    waiting.wait(10)
    assert free(worker) == Free(4, 1)
    go.set()
    for thread in threads:
        thread.join(10)
    assert free(worker) == Free(4, 1)


def test_to_be_away_means_nothing_to_a_thread_that_works_on_no_run() -> None:
    with away():
        pass


def test_what_a_full_worker_left_of_a_batch_is_looked_for_when_some_places_are_free() -> None:
    worker = a_worker(128, connections=128)
    runs = some_runs(112, BATCH)
    for start in range(0, 112, 8):
        worker.took(runs[start : start + 8], 8, 8)
    assert not finds_more(worker)
    worker.took([], 8, 0)
    # At work in here may be 64 of them, and of what may be held four are worth a claim.
    found = []
    for run in runs[:52]:
        end(worker, [run])
        found.append(finds_more(worker))
    assert found == [False] * 51 + [True]


@pytest.mark.parametrize(
    ("found", "most_of_batch", "left"),
    [
        ([BATCH] * 7, 7, True),
        ([BATCH] * 8, 7, True),
        ([BATCH] * 6, 7, False),
        ([BATCH] * 8, 8, False),
        ([CONVERSATION] * 8, 7, False),
        ([CONVERSATION] + [BATCH] * 7, 7, True),
        ([], 7, False),
        ([], 0, True),
    ],
)
def test_a_claim_that_found_as_many_of_a_batch_as_may_be_taken_may_have_left_some(
    found: list[str], most_of_batch: int, left: bool
) -> None:
    worker = a_worker(8)
    runs = [run for lane in found for run in some_runs(1, lane)]
    worker.took(runs, 8, most_of_batch)
    end(worker, runs)
    assert finds_more(worker) is left
    assert not finds_more(worker)


def test_what_bounds_of_a_model_left_is_looked_for_when_one_has_ended() -> None:
    worker = a_worker(8)
    runs = some_runs(2, CONVERSATION)
    take(worker, runs)
    worker.left_by_bounds(worker.ended)
    assert not finds_more(worker)
    end(worker, runs[:1])
    assert finds_more(worker)
    assert not finds_more(worker)


def test_one_that_ended_while_the_claim_looked_is_not_missed() -> None:
    worker = a_worker(8)
    runs = some_runs(1, CONVERSATION)
    take(worker, runs)
    ended = worker.ended
    end(worker, runs)
    worker.left_by_bounds(ended)
    assert finds_more(worker)
