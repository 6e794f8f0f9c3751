"""PostgreSQL crashes, is away, is locked, is full: clients are told so, and no commit is lost."""

import threading
from typing import Any, LiteralString

import psycopg

from tests.faults.fault import REFUSALS, Fault
from tests.faults.stage import Stage, freeze, thaw


class Crashed(Fault):
    name = "postgresql: crashes and is started again"
    rows = (16,)
    seconds = 0.5
    permits = frozenset({REFUSALS})

    def inject(self, stage: Stage) -> None:
        stage.postgres.process.kill()

    def heal(self, stage: Stage) -> None:
        stage.postgres.start()


class Away(Fault):
    name = "postgresql: away for some seconds"
    rows = (17,)
    seconds = 6.0
    permits = frozenset({REFUSALS})

    def inject(self, stage: Stage) -> None:
        stage.postgres.process.kill()

    def heal(self, stage: Stage) -> None:
        stage.postgres.start()


class Unreachable(Fault):
    name = "postgresql: connections are refused"
    rows = (17,)
    seconds = 4.0
    permits = frozenset({REFUSALS})

    def inject(self, stage: Stage) -> None:
        stage.to_postgres.refuse()

    def heal(self, stage: Stage) -> None:
        stage.to_postgres.accept()


class Silent(Fault):
    name = "postgresql: connections stay open and carry nothing"
    rows = (25,)
    seconds = 24.0
    permits = frozenset({REFUSALS})

    def inject(self, stage: Stage) -> None:
        stage.to_postgres.freeze()

    def heal(self, stage: Stage) -> None:
        stage.to_postgres.cut()
        stage.to_postgres.thaw()


class Terminated(Fault):
    name = "postgresql: every session is terminated"
    rows = (18,)
    permits = frozenset({REFUSALS})

    def inject(self, stage: Stage) -> None:
        stage.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'treadle'"
        )

    def heal(self, stage: Stage) -> None:
        return


class Locked(Fault):
    name = "postgresql: a migration locks the runs"
    rows = (19,)
    seconds = 8.0
    permits = frozenset({REFUSALS})
    lock: LiteralString = "LOCK TABLE runs IN ACCESS EXCLUSIVE MODE"

    def inject(self, stage: Stage) -> None:
        self.migration: psycopg.Connection[Any] = psycopg.connect(stage.postgres.url)
        self.migration.execute(self.lock)

    def heal(self, stage: Stage) -> None:
        self.migration.rollback()
        self.migration.close()


class BackendFrozen(Fault):
    name = "postgresql: half of its sessions are frozen"
    rows = (20,)
    seconds = 24.0
    permits = frozenset({REFUSALS})

    def inject(self, stage: Stage) -> None:
        rows = stage.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'treadle' ORDER BY pid")
        self.pids = [row[0] for row in rows][::2]
        for pid in self.pids:
            freeze(pid)

    def heal(self, stage: Stage) -> None:
        for pid in self.pids:
            try:
                thaw(pid)
            except ProcessLookupError:
                continue


class Crowded(Fault):
    name = "postgresql: the connection limit is reached"
    rows = (22,)
    seconds = 5.0
    permits = frozenset({REFUSALS})

    def inject(self, stage: Stage) -> None:
        stage.sql("ALTER ROLE treadle CONNECTION LIMIT 3")
        stage.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'treadle'"
        )

    def heal(self, stage: Stage) -> None:
        stage.sql("ALTER ROLE treadle CONNECTION LIMIT -1")


class Full(Fault):
    name = "postgresql: the disk is full"
    rows = (21,)
    seconds = 5.0
    permits = frozenset({REFUSALS})
    tables = ("threads", "messages", "runs", "run_steps", "answers")

    def inject(self, stage: Stage) -> None:
        """Every write fails as it does on a full disk, reads go on. A truly full disk would need
        a file system of its own; where its log cannot grow, PostgreSQL stops: see `Away`."""
        stage.sql(
            "CREATE OR REPLACE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';"
            " END $$"
        )
        for table in self.tables:
            stage.sql(
                f"CREATE TRIGGER disk_is_full BEFORE INSERT OR UPDATE ON {table}"  # type: ignore[arg-type]
                " EXECUTE FUNCTION disk_is_full()"
            )

    def heal(self, stage: Stage) -> None:
        for table in self.tables:
            stage.sql(f"DROP TRIGGER IF EXISTS disk_is_full ON {table}")  # type: ignore[arg-type]


class Cancelled(Fault):
    name = "postgresql: statements are cancelled"
    rows = (23,)
    seconds = 3.0
    permits = frozenset({REFUSALS})

    def inject(self, stage: Stage) -> None:
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._cancel, args=(stage,), daemon=True)
        self.thread.start()

    def heal(self, stage: Stage) -> None:
        self.stopping.set()
        self.thread.join(10)

    def _cancel(self, stage: Stage) -> None:
        with stage.connection() as connection:
            while not self.stopping.wait(0.02):
                connection.execute(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = 'treadle' AND state = 'active'"
                )
