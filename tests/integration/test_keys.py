"""`treadle keys`: keys are made, listed, limited and revoked."""

from contextlib import closing

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from cli.main import main
from tests.conftest import http_as


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)


def treadle(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["keys", *arguments])


def line(name: str) -> list[str]:
    """What `list` shows of the key with that name."""
    lines = [one.split("  ") for one in treadle("list").stdout.splitlines()]
    (found,) = [words for words in lines if words[-1] == name]
    return found


def test_a_key_has_a_project_of_its_own_and_the_limits_of_the_settings(app: Flask) -> None:
    secrets = [treadle("create", name).stdout.strip() for name in ("one", "two")]
    assert line("one")[4] != line("two")[4]
    assert line("one")[3] == "valid"
    assert line("one")[4].startswith("proj_")
    assert line("one")[5:7] == ["requests/min default", "queued runs default"]
    for secret in secrets:
        assert secret not in treadle("list").stdout
        with closing(http_as(app, secret)) as http:
            assert http.get("assistants").status_code == 200


def test_a_key_can_follow_another_on_the_same_project(app: Flask) -> None:
    old = treadle("create", "old").stdout.strip()
    with closing(http_as(app, old)) as http:
        made = http.post("assistants", json={"model": "m"}).json()["id"]
    new = treadle("create", "new", "--project", line("old")[4]).stdout.strip()
    assert line("new")[4] == line("old")[4]
    assert treadle("revoke", line("old")[0]).stdout == f"{line('old')[0]} (old) is revoked.\n"
    assert line("old")[3].startswith("revoked 2")
    with closing(http_as(app, new)) as http:
        assert http.get(f"assistants/{made}").status_code == 200


def test_a_project_that_does_not_exist_is_a_sentence_and_no_key_is_made() -> None:
    result = treadle("create", "x", "--project", "proj_none")
    assert (result.exit_code, result.stderr) == (
        1,
        "treadle: No project found with id 'proj_none'.\n",
    )
    assert treadle("list").stdout == ""


def test_limits_are_set_with_the_key_and_changed_one_by_one() -> None:
    treadle("create", "x", "--requests-per-minute", "60", "--queued-runs", "0")
    assert line("x")[5:7] == ["requests/min 60", "queued runs any"]
    changed = treadle("limit", line("x")[0], "--queued-runs", "1000")
    assert changed.stdout.strip().split("  ") == line("x")
    assert line("x")[5:7] == ["requests/min 60", "queued runs 1000"]
    treadle("limit", line("x")[0], "--requests-per-minute", "default")
    assert line("x")[5:7] == ["requests/min default", "queued runs 1000"]


def test_what_cannot_be_limited_is_a_sentence() -> None:
    treadle("create", "x")
    before = line("x")
    for wrong in ("-1", "1000001", "1.5", "none", ""):
        assert treadle("limit", before[0], "--queued-runs", wrong).exit_code == 2
    assert line("x") == before
    unknown = treadle("limit", "key_none", "--queued-runs", "1")
    assert (unknown.exit_code, unknown.stderr) == (
        1,
        "treadle: No key found with id 'key_none'.\n",
    )
