import logging
import threading

import pytest

from shared.outbox import Outbox


class Letterbox:
    """Takes what an outbox delivers; it can be shut, and it can refuse."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = threading.Event()
        self.open.set()
        self.at_the_door = threading.Event()
        self.refuse = False

    def deliver(self, items: list[int]) -> None:
        self.at_the_door.set()
        assert self.open.wait(20)
        if self.refuse:
            raise ConnectionError("nobody at home")
        self.batches.append(items)

    @property
    def items(self) -> list[int]:
        return [item for batch in self.batches for item in batch]


def put_while_shut(outbox: Outbox[int], letterbox: Letterbox, count: int) -> None:
    """The first is at the door when the others are put; then all go out."""
    letterbox.open.clear()
    outbox.put(0)
    assert letterbox.at_the_door.wait(20)
    for item in range(1, count):
        outbox.put(item)
    letterbox.open.set()
    assert outbox.flush(20)


@pytest.fixture
def letterbox() -> Letterbox:
    return Letterbox()


def test_everything_is_delivered_once_and_in_order(letterbox: Letterbox) -> None:
    outbox = Outbox("test", letterbox.deliver)
    for item in range(1000):
        outbox.put(item)
    assert outbox.flush(20)
    assert letterbox.items == list(range(1000))


def test_putting_does_not_wait_for_the_delivery(letterbox: Letterbox) -> None:
    letterbox.open.clear()
    outbox = Outbox("test", letterbox.deliver)
    for item in range(5):
        outbox.put(item)
    assert letterbox.batches == []
    letterbox.open.set()
    assert outbox.flush(20)
    assert letterbox.items == [0, 1, 2, 3, 4]


def test_what_gathers_meanwhile_goes_together_in_batches_of_bounded_size(
    letterbox: Letterbox,
) -> None:
    outbox = Outbox("test", letterbox.deliver, batch=3)
    put_while_shut(outbox, letterbox, 8)
    assert letterbox.batches == [[0], [1, 2, 3], [4, 5, 6], [7]]


def test_it_rests_by_how_much_it_delivered(letterbox: Letterbox) -> None:
    rested: list[int] = []

    def rest(items: int) -> float:
        rested.append(items)
        return 0

    outbox = Outbox("test", letterbox.deliver, batch=3, rest=rest)
    put_while_shut(outbox, letterbox, 6)
    outbox.put(6)
    assert outbox.flush(20)
    assert rested[:3] == [1, 3, 2]


def test_a_delivery_that_fails_is_dropped_and_logged_and_the_next_goes_out(
    letterbox: Letterbox, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox("test", letterbox.deliver)
    letterbox.refuse = True
    with caplog.at_level(logging.WARNING):
        outbox.put(1)
        assert outbox.flush(20)
    assert "outbox dropped items" in caplog.messages
    assert letterbox.items == []
    letterbox.refuse = False
    outbox.put(2)
    assert outbox.flush(20)
    assert letterbox.items == [2]


def test_a_full_outbox_forgets_the_oldest(letterbox: Letterbox) -> None:
    outbox = Outbox("test", letterbox.deliver, size=3)
    put_while_shut(outbox, letterbox, 6)
    assert letterbox.items == [0, 3, 4, 5]


def test_a_flush_says_whether_all_is_out(letterbox: Letterbox) -> None:
    outbox = Outbox("test", letterbox.deliver)
    assert outbox.flush(0)
    letterbox.open.clear()
    outbox.put(1)
    assert not outbox.flush(0)
    assert letterbox.at_the_door.wait(20)
    assert not outbox.flush(0.01)
    letterbox.open.set()
    assert outbox.flush(20)


def test_many_threads_may_put_at_once(letterbox: Letterbox) -> None:
    outbox = Outbox("test", letterbox.deliver)
    threads = [
        threading.Thread(target=lambda: [outbox.put(item) for item in range(200)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outbox.flush(20)
    assert sorted(letterbox.items) == sorted([*range(200)] * 8)
