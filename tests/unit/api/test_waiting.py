import pytest

from api import waiting
from api.waiting import Waiting


def test_there_is_room_for_so_many_and_again_when_one_has_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "_MOST", 2)
    room = Waiting()
    assert [room.enter() for _ in range(3)] == [True, True, False]
    room.leave()
    assert [room.enter() for _ in range(2)] == [True, False]


def test_the_more_wait_the_more_seldom_each_of_them_looks() -> None:
    room = Waiting()
    assert room.look_seconds(2.0) == 2.0
    for _ in range(2000):
        assert room.enter()
    for at_least in (2.0, 0.25):
        assert 5.0 < room.look_seconds(at_least) < 15.0
