"""The servers behind Treadle, looked at before a process starts.

PostgreSQL is the truth: one that may lose what it has confirmed, or cannot take what comes, is
refused. Redis is disposable: one that is away, or does not say how it is set, is a warning; only
one that is set to evict is refused, for it would drop bells for as long as it runs. An S3 that is
away is a warning too, for runs need no files; one that refuses us will go on refusing.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.blobs import open_blobs
from shared.db import Session
from shared.errors import SettingsError, Unavailable
from shared.schema import missing_migrations
from shared.settings import Settings
from shared.store import server
from shared.store.server import Server

log = logging.getLogger(__name__)

# The oldest series that its makers still mend, and the oldest that Treadle's tests have run on.
OLDEST_POSTGRESQL = 15
# Beside its pool, a worker keeps a session for its lease and one for its sweep, and opens another
# when it stops.
_WORKER_SESSIONS = 3
_REDIS_SECONDS = 3.0


@dataclass(frozen=True)
class Finding:
    server: str
    what: str
    found: str
    advice: str = ""  # empty where all is well
    refused: bool = False  # nothing starts on it


def connections_of_api(settings: Settings) -> int:
    watching = 1 if settings.metrics_port else 0
    return settings.api_processes * (settings.database_pool + watching)


def connections_of_worker(settings: Settings) -> int:
    return settings.database_pool + _WORKER_SESSIONS


def require(settings: Settings, connections: int, warn: Callable[[Finding], object]) -> None:
    """Raises SettingsError for the first finding that nothing starts on; else warns.

    `connections` is how many the process to be started may need of PostgreSQL.
    """
    advised = [finding for finding in look(settings, connections) if finding.advice]
    for finding in advised:
        if finding.refused:
            raise SettingsError(finding.advice)
    for finding in advised:
        warn(finding)


def log_warning(finding: Finding) -> None:
    log.warning("server", extra=vars(finding))


def look(settings: Settings, connections: int) -> Iterator[Finding]:
    yield from _postgresql(settings, connections)
    yield _redis(settings)
    if settings.blobs_are_in_s3:
        yield _s3(settings)


def _postgresql(settings: Settings, connections: int) -> Iterator[Finding]:
    try:
        missing = missing_migrations(settings.database_url)
        with closing(Session(settings.database_url)) as session, session.autocommit() as tx:
            found = server.read(tx)
    except (SettingsError, Unavailable) as error:
        yield Finding("PostgreSQL", "reached", "no", str(error), refused=True)
        return
    yield _version(found)
    yield _writable(found)
    yield from _durable(found, settings.unsafe_database)
    yield _room(found, connections)
    yield _schema(missing)


def _version(found: Server) -> Finding:
    old = found.version // 10000 < OLDEST_POSTGRESQL
    advice = f"PostgreSQL is {found.version_name}; Treadle needs {OLDEST_POSTGRESQL} or newer."
    return _judged("PostgreSQL", "version", found.version_name, advice if old else "")


def _writable(found: Server) -> Finding:
    advice = "DATABASE_URL names a read replica: name the primary."
    role = "replica" if found.is_replica else "primary"
    return _judged("PostgreSQL", "role", role, advice if found.is_replica else "")


def _durable(found: Server, unsafe: bool) -> Iterator[Finding]:
    for name, value in (
        ("fsync", "on" if found.fsync else "off"),
        ("full_page_writes", "on" if found.full_page_writes else "off"),
        ("synchronous_commit", found.synchronous_commit),
    ):
        advice = (
            f"PostgreSQL runs with {name}=off and may lose runs that were accepted: turn it on,"
            " or set TREADLE_UNSAFE_DATABASE=1 where nothing is worth keeping."
        )
        wrong = value == "off"
        yield Finding("PostgreSQL", name, value, advice if wrong else "", wrong and not unsafe)


def _room(found: Server, needed: int) -> Finding:
    room, in_use = found.connections, found.connections_in_use
    told = f"{room}, {in_use} in use, {needed} needed"
    if room < needed:
        advice = (
            f"PostgreSQL allows {room} connections and this process may need {needed}: raise its"
            " max_connections (or the limit of the role or database), or lower"
            " TREADLE_DATABASE_POOL."
        )
        return _judged("PostgreSQL", "connections", told, advice)
    advice = (
        f"PostgreSQL allows {room} connections, {in_use} are in use and this process may need"
        f" {needed} more: if all ask at once, some wait."
    )
    return Finding("PostgreSQL", "connections", told, advice if in_use + needed > room else "")


def _schema(missing: list[str]) -> Finding:
    told = f"{len(missing)} migrations missing" if missing else "up to date"
    advice = "The database is not up to date: run `treadle migrate` first."
    return _judged("PostgreSQL", "schema", told, advice if missing else "")


def _redis(settings: Settings) -> Finding:
    """INFO tells the policy, where a hosted Redis refuses CONFIG."""
    try:
        policy = _policy(settings.redis_url)
    except ValueError:
        advice = "REDIS_URL is not an address: special characters in it must be percent-encoded."
        return _judged("Redis", "reached", "no", advice)
    except redis.ResponseError as error:
        return _untold(type(error).__name__)
    except redis.RedisError as error:
        advice = (
            f"REDIS_URL cannot be reached ({type(error).__name__}): until it can, runs wait for"
            " the sweep and nothing is streamed."
        )
        return Finding("Redis", "reached", "no", advice)
    if policy == "noeviction":
        return Finding("Redis", "maxmemory-policy", policy)
    return (
        _untold("not in INFO")
        if policy is None
        else _judged(
            "Redis",
            "maxmemory-policy",
            str(policy),
            f"Redis has maxmemory-policy {policy} and may drop what wakes the workers:"
            " set maxmemory-policy noeviction.",
        )
    )


def _untold(why: str) -> Finding:
    advice = "Redis does not tell its maxmemory-policy: see to it that it is noeviction."
    return Finding("Redis", "maxmemory-policy", f"unknown ({why})", advice)


def _policy(url: str) -> Any:
    client: Any = redis.Redis
    with client.from_url(
        url,
        socket_timeout=_REDIS_SECONDS,
        socket_connect_timeout=_REDIS_SECONDS,
        retry=Retry(NoBackoff(), 0),
    ) as connection:
        return connection.info("memory").get("maxmemory_policy")


def _s3(settings: Settings) -> Finding:
    try:
        open_blobs(settings).look()
    except SettingsError as error:
        return _judged("S3", "files", "refused", str(error))
    except Unavailable as error:
        return Finding("S3", "files", "not reached", str(error))
    return Finding("S3", "files", settings.blobs)


def _judged(server: str, what: str, found: str, advice: str) -> Finding:
    """Refused where there is something to advise."""
    return Finding(server, what, found, advice, refused=bool(advice))
