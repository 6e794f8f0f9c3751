import stat
from pathlib import Path

import pytest

from cli.embedded.processes import StartError
from cli.embedded.sockets import discard, make_private, socket_directory


def test_a_socket_stands_in_its_own_directory_where_it_fits() -> None:
    assert socket_directory(Path("/srv/treadle"), "a.sock") == Path("/srv/treadle")


def test_the_short_directory_is_the_same_each_time_and_not_another_ones() -> None:
    first, second = Path("/srv") / ("a" * 120), Path("/srv") / ("b" * 120)
    assert socket_directory(first, "s") == socket_directory(first, "s")
    assert socket_directory(first, "s") != socket_directory(second, "s")


def test_a_private_directory_is_closed_to_others_even_if_it_was_open(tmp_path: Path) -> None:
    directory = tmp_path / "open"
    directory.mkdir(mode=0o777)
    make_private(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_link_that_somebody_put_there_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(StartError, match="belongs to another user"):
        make_private(tmp_path / "link")


def test_only_a_short_directory_is_discarded(tmp_path: Path) -> None:
    short, own = tmp_path / "short", tmp_path / "own"
    for directory in (short, own):
        directory.mkdir()
    discard(short, own)
    discard(own, own)
    assert (short.exists(), own.exists()) == (False, True)
