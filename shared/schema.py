"""The schema: brings a database up to date, and says whether it is."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg

from shared.db import CONNECT
from shared.errors import SettingsError

MIGRATIONS = Path(__file__).parent / "migrations"
NO_PGVECTOR = (
    "The database has no pgvector of 0.8 or newer, and this role cannot create it: install it on"
    " the server, as the image pgvector/pgvector:pg18 has it, and have the database's owner or a"
    " superuser run `CREATE EXTENSION vector` in it once."
)
_PGVECTOR = "0030_pgvector.sql"
_NO_EXTENSION = (
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.UndefinedFile,
    psycopg.errors.InsufficientPrivilege,
)
_LOCK = 0x7EAD1E
_OUTSIDE = "-- outside a transaction\n"
_APPLIED = "INSERT INTO schema_migrations (name) VALUES (%s)"
# A migration may take its time, but not keep others waiting for a lock.
_CONNECT: dict[str, Any] = {**CONNECT, "options": "-c lock_timeout=10s"}


def migrate(url: str) -> list[str]:
    """Applies what is missing, in order, one transaction each. Returns the names applied.

    Forward only; each file must suit the version that runs meanwhile. One that begins with
    `-- outside a transaction`, as building an index beside living writers demands, is applied
    statement by statement, and from its beginning again if it was cut off. Several processes may
    start this at once: one works, the others wait for it.
    """
    with _connected(url) as connection:
        _wait_for_our_turn(connection)
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        missing = _missing(connection)
        for path in missing:
            # A file of this package, not a caller's words.
            script = cast("LiteralString", path.read_text())
            if script.startswith(_OUTSIDE):
                for statement in script.split(";\n"):
                    connection.execute(statement)
                connection.execute(_APPLIED, [path.name])
                continue
            with connection.transaction():
                _apply(connection, path, script)
                connection.execute(_APPLIED, [path.name])
        return [path.name for path in missing]


def _apply(connection: psycopg.Connection[Any], path: Path, script: LiteralString) -> None:
    try:
        connection.execute(script)
    except _NO_EXTENSION as error:
        if path.name != _PGVECTOR:
            raise
        raise SettingsError(
            f"{NO_PGVECTOR} PostgreSQL says: {error.diag.message_primary}."
        ) from None


def _wait_for_our_turn(connection: psycopg.Connection[Any]) -> None:
    """Asks again and again: who slept in PostgreSQL for the lock would hold a snapshot, and an
    index that is built concurrently waits for all of those."""
    while True:
        taken = connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
        if taken is not None and taken[0]:
            return
        time.sleep(0.1)


def missing_migrations(url: str) -> list[str]:
    """The names not applied yet. Raises SettingsError if the database cannot be reached."""
    with _connected(url) as connection:
        known = connection.execute("SELECT to_regclass('schema_migrations')").fetchone()
        nothing = known is None or known[0] is None
        missing = sorted(MIGRATIONS.glob("*.sql")) if nothing else _missing(connection)
        return [path.name for path in missing]


@contextmanager
def _connected(url: str) -> Generator[psycopg.Connection[Any]]:
    try:
        connection = psycopg.connect(url, **_CONNECT)
    except psycopg.OperationalError as error:
        raise SettingsError(f"DATABASE_URL cannot be reached: {error}") from None
    except psycopg.ProgrammingError:
        # What it says of a malformed address repeats its parts, the password among them.
        raise SettingsError("DATABASE_URL is not an address that PostgreSQL understands.") from None
    with connection:
        yield connection


def _missing(connection: psycopg.Connection[Any]) -> list[Path]:
    applied = {row[0] for row in connection.execute("SELECT name FROM schema_migrations")}
    return [path for path in sorted(MIGRATIONS.glob("*.sql")) if path.name not in applied]
