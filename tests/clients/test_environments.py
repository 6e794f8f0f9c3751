"""The clients' environments: made once, whole, from locks that name no host."""

from pathlib import Path

import pytest

from tests.clients import environments

LOCKS = [
    *environments.CLIENTS.glob("*/requirements.lock"),
    *environments.CLIENTS.glob("*/package-lock.json"),
]


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path / "environments")
    lock = tmp_path / "requirements.lock"
    lock.write_text("one==1")
    return lock


def test_an_environment_is_made_once_for_each_lock(lock: Path) -> None:
    made: list[Path] = []

    def make(place: Path) -> None:
        place.mkdir()
        made.append(place)

    first = environments.made("client", lock, make)
    assert environments.made("client", lock, make) == first
    lock.write_text("one==2")
    assert environments.made("client", lock, make) != first
    assert len(made) == 2


def test_what_an_installation_left_that_broke_off_is_not_used(lock: Path) -> None:
    def break_off(place: Path) -> None:
        (place / "half").mkdir(parents=True)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        environments.made("client", lock, break_off)
    made = environments.made("client", lock, Path.mkdir)
    assert [path.name for path in made.iterdir()] == ["installed"]


def test_without_a_registry_the_test_fails_and_says_so() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"the client one from PyPI.*\nno route"):
        environments.install("one from PyPI", "sh", "-c", "echo no route >&2; exit 2")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: f"{lock.parent.name}/{lock.name}")
def test_every_lock_has_hashes_and_names_no_host(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "sha256:" in text or "sha512-" in text
