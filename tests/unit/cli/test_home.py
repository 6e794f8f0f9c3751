import os
import stat
from pathlib import Path

import pytest

from cli.embedded.home import Home
from cli.embedded.processes import StartError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "a home")
    home.create()
    return home


def test_what_is_written_to_client_env_is_read_again(home: Home) -> None:
    home.write_client_settings("http://127.0.0.1:8100/v1", "tr-'odd' $key")
    assert home.client_settings() == {
        "OPENAI_BASE_URL": "http://127.0.0.1:8100/v1",
        "OPENAI_API_KEY": "tr-'odd' $key",
    }
    assert stat.S_IMODE(home.client_env.stat().st_mode) == 0o600


def test_client_env_is_replaced_even_where_others_could_read_the_old_one(home: Home) -> None:
    home.client_env.write_text("export OPENAI_API_KEY=old\n")
    home.client_env.chmod(0o644)
    home.write_client_settings("http://here/v1", "new")
    assert home.client_settings()["OPENAI_API_KEY"] == "new"
    assert stat.S_IMODE(home.client_env.stat().st_mode) == 0o600


def test_without_client_env_nothing_is_known(home: Home) -> None:
    assert home.client_settings() == {}


@pytest.mark.parametrize("text", ["export 'unfinished", "nonsense", ""])
def test_a_broken_client_env_counts_as_none(home: Home, text: str) -> None:
    home.client_env.write_text(text)
    assert home.client_settings() == {}


def test_a_home_is_locked_by_one_at_a_time_and_free_again_afterwards(home: Home) -> None:
    with home.lock(), pytest.raises(StartError, match=rf"process {os.getpid()}\)"):
        home.lock()
    home.lock().close()


def test_logs_are_not_for_others(home: Home) -> None:
    assert stat.S_IMODE(home.logs.stat().st_mode) == 0o700
