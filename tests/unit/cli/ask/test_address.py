from pathlib import Path

import pytest

from cli.ask.address import address
from cli.ask.errors import AskError
from cli.embedded.home import Home

UP = "http://127.0.0.1:8100/v1"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Home:
    monkeypatch.setenv("TREADLE_HOME", str(tmp_path))
    return Home(tmp_path)


def test_without_any_address_there_must_be_a_treadle_up(home: Home) -> None:
    with pytest.raises(AskError, match="--base-url or OPENAI_BASE_URL"):
        address("", "a key", key_is_typed=True)
    home.write_client_settings(UP, "its key")
    assert address("", "", key_is_typed=False) == (UP, "its key")
    assert address("", "of the shell", key_is_typed=False) == (UP, "its key")
    assert address("", "typed", key_is_typed=True) == (UP, "typed")


def test_the_key_of_treadle_up_is_not_sent_elsewhere(home: Home) -> None:
    home.write_client_settings(UP, "its key")
    assert address(UP, "", key_is_typed=False) == (UP, "its key")
    with pytest.raises(AskError, match="Give the key for https://elsewhere/v1"):
        address("https://elsewhere/v1", "", key_is_typed=False)


@pytest.mark.parametrize("url", ["127.0.0.1:8100", "ftp://host", "http://", "http://host:x"])
def test_an_address_must_be_one(url: str) -> None:
    with pytest.raises(AskError, match="no address"):
        address(url, "a key", key_is_typed=False)


def test_a_key_must_be_one_that_can_be_sent() -> None:
    with pytest.raises(AskError, match="characters"):
        address(UP, "a\nkey", key_is_typed=True)
