"""What the PostgreSQL server itself is like."""

from dataclasses import dataclass

from shared.db import Transaction


@dataclass(frozen=True)
class Server:
    version: int  # as server_version_num: 180006
    version_name: str
    is_replica: bool
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    connections: int  # that our role may have at once, whoever has them now
    connections_in_use: int  # of those, this one included


def read(tx: Transaction) -> Server:
    found = tx.one(
        Server,
        "SELECT current_setting('server_version_num')::int AS version,"
        " current_setting('server_version') AS version_name,"
        " pg_is_in_recovery() AS is_replica,"
        " current_setting('fsync')::boolean AS fsync,"
        " current_setting('full_page_writes')::boolean AS full_page_writes,"
        " current_setting('synchronous_commit') AS synchronous_commit,"
        " least(current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int"
        " - coalesce(current_setting('reserved_connections', true)::int, 0),"
        # -1 stands for no limit.
        " (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),"
        " (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())"
        ") AS connections,"
        " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int"
        " AS connections_in_use",
    )
    if found is None:
        raise RuntimeError("a SELECT without FROM has one row")
    return found
