"""The page for operators: what it tells to type is what works."""

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import psycopg
import pytest

from cli.main import main
from shared import servers
from shared.db import Database
from shared.settings import Settings
from shared.store import runs
from tests.conftest import Caller
from tests.factories import a_run
from worker.bell import Bell
from worker.lease import Lease
from worker.sweep import sweep

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operate.md").read_text()
SQL = re.findall(r"```sql\n(.+?)```", PAGE, re.DOTALL)


def test_its_sql_is_understood(database_url: str) -> None:
    assert len(SQL) == 2
    with psycopg.connect(database_url) as connection:
        for text in SQL:
            connection.execute(text.encode())
        connection.rollback()


def test_its_settings_commands_and_files_exist() -> None:
    settings = {setting.metadata["env"] for setting in fields(Settings)}
    assert set(re.findall(r"TREADLE_[A-Z_]+", PAGE)) <= settings
    assert set(re.findall(r"`treadle (\w+)", PAGE)) <= main.commands.keys()
    files = re.findall(r"`(tests/[\w./]+)`", PAGE)
    assert [path for path in files if not (ROOT / path).exists()] == []


def test_its_oldest_postgresql_is_the_one_that_is_taken() -> None:
    assert f"PostgreSQL {servers.OLDEST_POSTGRESQL} or newer" in PAGE


def test_every_event_that_it_names_is_logged_somewhere() -> None:
    rows = re.findall(r"^\| (`.+?`) \| (?:DEBUG|INFO|WARNING|ERROR)", PAGE, re.MULTILINE)
    named = {event for row in rows for event in re.findall(r"`(.+?)`", row)}
    assert len(named) > 10
    parts = [path for part in ("api", "worker", "shared") for path in (ROOT / part).rglob("*.py")]
    code = "".join(path.read_text() for path in parts)
    logged = set(re.findall(r"\.(?:\w+)\(\s*(?:level,\s*)?\"([^\"]+)\"", code))
    assert named - logged == set()


@pytest.fixture
def settings(settings: Settings) -> Iterator[Settings]:
    """In the role that the page makes for what serves."""
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute(SQL[0].encode())
        url = settings.database_url.replace("postgres@", "treadle_serves@")
        yield replace(settings, database_url=url)
        connection.execute("DROP OWNED BY treadle_serves")
        connection.execute("DROP ROLE treadle_serves")


def test_its_role_can_serve_and_cannot_drop(
    settings: Settings, database: Database, caller: Caller, worker: Bell, lease: Lease
) -> None:
    servers.require(settings, 8, lambda _: None)
    run = a_run(database, caller.project_id)
    worker.answer()
    with database.autocommit() as tx:
        sweep(tx, settings)
        assert runs.get(tx, caller.project_id, run.thread_id, run.id).status == "completed"
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.autocommit() as tx:
        tx.execute("DROP TABLE answers")
