from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "TREADLE_MODEL_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TREADLE_HOME", str(tmp_path))


def treadle(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("command", ["up", "api", "worker", "migrate", "keys"])
def test_help_says_what_each_command_does(command: str) -> None:
    result = treadle(command, "--help")
    assert result.exit_code == 0
    assert command in treadle("--help").output


@pytest.mark.parametrize("arguments", [("migrate",), ("api",), ("keys", "list")])
def test_a_missing_setting_is_one_sentence_and_status_2(arguments: tuple[str, ...]) -> None:
    result = treadle(*arguments)
    assert (result.exit_code, result.stderr) == (
        2,
        "treadle: DATABASE_URL is not set (PostgreSQL, the truth).\n",
    )


def test_a_wrong_setting_is_one_sentence_and_status_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREADLE_PORT", "none")
    result = treadle("up")
    assert result.exit_code == 2
    assert result.stderr.startswith("treadle: TREADLE_PORT must be a whole number")


def test_a_database_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none")
    result = treadle("migrate")
    assert result.exit_code == 2
    assert result.stderr.startswith("treadle: DATABASE_URL cannot be reached")
    assert "Traceback" not in result.stderr
