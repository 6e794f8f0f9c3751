"""The pool: who waits for a connection, and who is told that there is none."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest

from shared import db, schema
from shared.db import Database, Session, Transaction
from shared.errors import SettingsError, Unavailable
from shared.settings import Settings


def test_where_everybody_wants_a_connection_one_waits_for_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "_UNREACHED_SECONDS", 0.05)
    with ThreadPoolExecutor(1) as pool, ExitStack() as held:
        for _ in range(4):
            held.enter_context(database.autocommit())

        def ask() -> int:
            with database.autocommit() as tx:
                return tx.value("SELECT 42")

        asking = pool.submit(ask)
        until = time.monotonic() + 10
        while database._pool.get_stats().get("requests_errors", 0) < 3:
            assert time.monotonic() < until
            threading.Event().wait(0.01)
        held.close()
        assert asking.result(10) == 42


def test_where_there_is_no_server_one_is_told_soon() -> None:
    began = time.monotonic()
    with Database("postgresql://nobody@127.0.0.1:9/none", 2) as nowhere:
        for _ in range(2):
            with pytest.raises(Unavailable), nowhere.autocommit():
                raise AssertionError
    assert time.monotonic() - began < 10


def test_a_migration_that_builds_an_index_beside_writers_can_be_repeated_after_a_crash(
    database_url: str,
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM schema_migrations WHERE name LIKE '0004%'")
        connection.execute("DROP INDEX runs_in_line")
    assert schema.missing_migrations(database_url) == ["0004_one_run_at_a_time.sql"]
    with ThreadPoolExecutor(3) as pool:
        applied = [*pool.map(schema.migrate, [database_url] * 3)]
    assert sorted(applied) == [[], [], ["0004_one_run_at_a_time.sql"]]
    with psycopg.connect(database_url) as connection:
        invalid = connection.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid")
        assert invalid.fetchone() == (0,)


def test_a_database_that_may_not_have_pgvector_is_told_in_a_sentence(database_url: str) -> None:
    """The role that migrates may make tables, and no extension."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP EXTENSION vector CASCADE")
        connection.execute("DELETE FROM schema_migrations WHERE name LIKE '0030%'")
        connection.execute("CREATE ROLE migrates LOGIN")
        connection.execute("GRANT ALL ON SCHEMA public TO migrates")
        connection.execute("GRANT ALL ON schema_migrations TO migrates")
    try:
        with pytest.raises(SettingsError, match="CREATE EXTENSION vector"):
            schema.migrate(database_url.replace("postgres@", "migrates@", 1))
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("DROP OWNED BY migrates")
            connection.execute("DROP ROLE migrates")


def ask_when_frozen(tx: Transaction, freeze: Callable[[int], None]) -> None:
    freeze(tx.value("SELECT pg_backend_pid()"))
    tx.value("SELECT 42")


class TestFrozenSession:
    """A server that has frozen keeps none of its own limits."""

    @pytest.fixture
    def freeze(self) -> Iterator[Callable[[int], None]]:
        frozen: list[int] = []

        def freeze(pid: int) -> None:
            os.kill(pid, signal.SIGSTOP)
            frozen.append(pid)

        yield freeze
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)

    def test_a_statement_is_given_up(
        self, database: Database, freeze: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(db, "_ANSWER_SECONDS", 0.5)
        with pytest.raises(Unavailable), database.transaction() as tx:
            ask_when_frozen(tx, freeze)
        with database.transaction() as tx:
            assert tx.value("SELECT 42") == 42

    def test_a_connection_that_waits_in_the_pool_is_passed_over(
        self, monkeypatch: pytest.MonkeyPatch, database: Database, freeze: Callable[[int], None]
    ) -> None:
        monkeypatch.setattr(db, "_FRESH_SECONDS", 0)
        with database.autocommit() as tx:
            freeze(tx.value("SELECT pg_backend_pid()"))
        began = time.monotonic()
        with database.autocommit() as tx:
            assert tx.value("SELECT 42") == 42
        assert time.monotonic() - began < 10

    def test_a_session_of_its_own_is_given_up_and_begins_anew(
        self, settings: Settings, database: Database, freeze: Callable[[int], None]
    ) -> None:
        session = Session(settings.database_url, answer_seconds=0.5)
        with pytest.raises(Unavailable), session.autocommit() as tx:
            ask_when_frozen(tx, freeze)
        with session.autocommit() as tx:
            assert tx.value("SELECT 42") == 42
        session.close()
