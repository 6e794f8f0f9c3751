"""PostgreSQL: the pool, and transactions with their after-commit work.

Waits are bounded on every side: a checkout, a statement, a lock and an idle transaction each have
their limit, and what PostgreSQL cannot do now is `Unavailable`, never a hang.
"""

import logging
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString, Self, TypeVar

import orjson
import psycopg
from psycopg.abc import PQGen
from psycopg.adapt import Loader
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow, scalar_row
from psycopg.types.json import set_json_dumps
from psycopg_pool import ConnectionPool, PoolTimeout

from shared.errors import Unavailable

log = logging.getLogger(__name__)

# Seconds until a request that finds no connection is told 503: where PostgreSQL cannot be reached,
# and where it can but everybody wants it.
_UNREACHED_SECONDS = 2.0
_CROWDED_SECONDS = 15.0

CONNECT: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": 3,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "treadle",
    # Where PostgreSQL may compile a statement it does so by what it believes the statement to cost,
    # and takes longer for it than any of these.
    "options": "-c statement_timeout=15s -c lock_timeout=5s"
    " -c idle_in_transaction_session_timeout=30s -c timezone=UTC -c jit=off",
}

# A frozen server, or a network that swallows everything, keeps none of these limits. Those for an
# answer, beyond a statement's own, and for a sign of life are kept here.
_ANSWER_SECONDS = 17.0
_ALIVE_SECONDS = 2.0
# A connection that was used so short a while ago is only looked at, and not asked.
_FRESH_SECONDS = 0.1


class _Json(Loader):
    """psycopg's own asks of each value what it is, and then hands it on."""

    load: Any = staticmethod(orjson.loads)


set_json_dumps(orjson.dumps)
for json_type in ("json", "jsonb"):
    psycopg.adapters.register_loader(json_type, _Json)

T = TypeVar("T")
Parameters = Mapping[str, Any]


class _Connection(psycopg.Connection[TupleRow]):
    """Closed where an answer does not come in time: nobody could place it later."""

    answer_seconds: float | None = None
    used_at = 0.0  # by the monotonic clock

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, timeout or self.answer_seconds or _ANSWER_SECONDS)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise


def _require_alive(connection: _Connection) -> None:
    # What a server says last comes before its end; neither is waited for.
    connection.pgconn.consume_input()
    connection.pgconn.consume_input()
    if time.monotonic() - connection.used_at < _FRESH_SECONDS:
        return
    connection.answer_seconds = _ALIVE_SECONDS
    try:
        ConnectionPool.check_connection(connection)
    finally:
        connection.answer_seconds = None


_columns_of: dict[str, list[str]] = {}


def _columns(cursor: psycopg.Cursor[Any], query: LiteralString) -> list[str]:
    """The names of what a query gives, read from its first answer and kept: psycopg would read and
    decode them with each. No migration may change them under a process that runs."""
    columns = _columns_of.get(query)
    if columns is None:
        columns = _columns_of[query] = [column.name for column in cursor.description or ()]
    return columns


class Transaction:
    """One connection's statements. Store functions take it; whoever opened it commits it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._after_commit: list[Callable[[], object]] = []

    def execute(self, query: LiteralString, parameters: Parameters | None = None) -> int:
        return self._connection.execute(query, parameters).rowcount

    # `row` is given a row's columns by their names.
    def one(
        self, row: Callable[..., T], query: LiteralString, parameters: Parameters | None = None
    ) -> T | None:
        with self._connection.cursor() as cursor:
            values = cursor.execute(query, parameters).fetchone()
            if values is None:
                return None
            return row(**dict(zip(_columns(cursor, query), values, strict=True)))

    def all(
        self, row: Callable[..., T], query: LiteralString, parameters: Parameters | None = None
    ) -> list[T]:
        with self._connection.cursor() as cursor:
            rows = cursor.execute(query, parameters).fetchall()
            columns = _columns(cursor, query)
            return [row(**dict(zip(columns, values, strict=True))) for values in rows]

    def value(self, query: LiteralString, parameters: Parameters | None = None) -> Any:
        """The first column of the first row, or None."""
        with self._connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(query, parameters).fetchone()

    def values(self, query: LiteralString, parameters: Parameters | None = None) -> list[Any]:
        with self._connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(query, parameters).fetchall()

    @contextmanager
    def atomic(self) -> Generator[None]:
        """All or nothing of what the block does, within whatever transaction there is."""
        with self._connection.transaction():
            yield

    def after_commit(self, act: Callable[..., object], *arguments: Any) -> None:
        """`act` must neither block nor raise: it hands over to an outbox."""
        self._after_commit.append(lambda: act(*arguments))

    def committed(self) -> None:
        for act in self._after_commit:
            act()


@dataclass(frozen=True)
class Load:
    in_use: int
    waiting: int  # for a connection
    most: int


class Database:
    """A pool. Open it in the process that uses it: connections do not survive a fork."""

    def __init__(self, url: str, pool_size: int) -> None:
        self._failed_at = 0.0
        self._pool: ConnectionPool[_Connection] = ConnectionPool(
            url,
            connection_class=_Connection,
            kwargs=CONNECT,
            min_size=1,
            max_size=pool_size,
            reconnect_timeout=0,
            reconnect_failed=self._note_failure,
            check=_require_alive,
            open=False,
        )

    def open(self) -> Self:
        self._pool.open()
        return self

    def close(self) -> None:
        self._pool.close(timeout=1)

    def load(self) -> Load:
        """How busy the pool is now."""
        found = self._pool.get_stats()
        in_use = found["pool_size"] - found["pool_available"]
        return Load(in_use, found["requests_waiting"], found["pool_max"])

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Generator[Transaction]:
        """BEGIN … COMMIT, or ROLLBACK if the block raises; then what `after_commit` gathered."""
        with self._connected() as connection:
            tx = Transaction(connection)
            with connection.transaction():
                yield tx
        tx.committed()

    @contextmanager
    def autocommit(self) -> Generator[Transaction]:
        """Every statement commits by itself: for blocks of a single statement, two trips fewer."""
        with self._connected() as connection:
            tx = Transaction(connection)
            yield tx
        tx.committed()

    @contextmanager
    def _connected(self) -> Generator[_Connection]:
        try:
            connection = self._checkout()
            try:
                yield connection
            finally:
                connection.used_at = time.monotonic()
                self._pool.putconn(connection)
        except psycopg.OperationalError as error:
            # Time-outs of pool, statement and lock, lost connections, full disks, deadlocks.
            log.warning("postgresql unavailable", extra={"error": repr(error)})
            raise Unavailable("PostgreSQL cannot answer now.") from error

    def _checkout(self) -> _Connection:
        until = time.monotonic() + _CROWDED_SECONDS
        while True:
            try:
                return self._pool.getconn(timeout=_UNREACHED_SECONDS)
            except PoolTimeout:
                failed = time.monotonic() - self._failed_at < 2 * _UNREACHED_SECONDS
                if failed or time.monotonic() > until:
                    raise

    def _note_failure(self, _: ConnectionPool[Any]) -> None:
        self._failed_at = time.monotonic()


class Session:
    """One connection of its own, outside the pool, for as long as the process lives.

    A session-level advisory lock taken on it says that the process lives, and ends with it. No
    answer is waited for longer than `answer_seconds`.
    """

    def __init__(self, url: str, answer_seconds: float | None = None) -> None:
        self._url = url
        self._answer_seconds = answer_seconds
        # What each new connection begins with.
        self.on_connect: Callable[[Transaction], object] = lambda _: None
        self._connection: _Connection | None = None

    @contextmanager
    def autocommit(self) -> Generator[Transaction]:
        """Connects if need be; after an Unavailable the next use connects anew."""
        try:
            if self._connection is None:
                self._connection = _Connection.connect(self._url, **CONNECT)
                self._connection.answer_seconds = self._answer_seconds
                self.on_connect(Transaction(self._connection))
            tx = Transaction(self._connection)
            yield tx
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()
            raise Unavailable("PostgreSQL cannot answer now.") from error
        tx.committed()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
