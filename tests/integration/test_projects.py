"""`treadle projects`: what each has of the workers."""

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from tests.conftest import Caller


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)


def treadle(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["projects", *arguments])


def shares() -> list[list[str]]:
    return [line.split("  ")[2:] for line in treadle("list").stdout.splitlines()]


def test_a_project_s_share_is_shown_and_changed_one_by_one(caller: Caller) -> None:
    assert shares() == [["weight 1", "running runs default", "tests"]]
    changed = treadle("share", caller.project_id, "--weight", "3")
    assert changed.stdout.split("  ")[0] == caller.project_id
    assert shares() == [["weight 3", "running runs default", "tests"]]
    for given, shown in (("50", "50"), ("0", "any"), ("default", "default")):
        treadle("share", caller.project_id, "--running-runs", given)
        assert shares() == [["weight 3", f"running runs {shown}", "tests"]]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("--weight", "0"), 2), (("--weight", "1001"), 2), (("--running-runs", "-1"), 2)],
)
def test_what_is_no_share_is_refused(
    caller: Caller, arguments: tuple[str, ...], status: int
) -> None:
    assert treadle("share", caller.project_id, *arguments).exit_code == status
    assert shares() == [["weight 1", "running runs default", "tests"]]


def test_a_project_that_does_not_exist_is_a_sentence() -> None:
    refused = treadle("share", "proj_none", "--weight", "2")
    assert refused.exit_code == 1
    assert refused.stderr == "treadle: No project found with id 'proj_none'.\n"
