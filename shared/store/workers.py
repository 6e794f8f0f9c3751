"""Worker processes: who is alive, and whose turn it is to sweep.

A worker is lost when its heartbeat is older than the lease; or, at once after a kill, when the
session that holds its advisory lock is gone and no heartbeat came for a moment.

Silence counts only while somebody could have heard: since the sweeps, which judge, go on without a
gap. Else an outage of the database would make every living worker look dead.
"""

import os
import socket

from shared.db import Transaction
from shared.ids import new_id

HEARTBEAT_SECONDS = 1.0
_RECONNECT_SECONDS = 2.5
_LOCK_CLASS = 0x7EAD1E


def register(tx: Transaction) -> str:
    """A new worker, whose advisory lock the session behind `tx` holds until it ends."""
    worker_id = new_id("worker")
    tx.execute(
        "INSERT INTO workers (id, host, pid) VALUES (%(id)s, %(host)s, %(pid)s)",
        {"id": worker_id, "host": socket.gethostname(), "pid": os.getpid()},
    )
    lock(tx, worker_id)
    return worker_id


def lock(tx: Transaction, worker_id: str) -> bool:
    """Held by the session behind `tx` until it ends. Whether it was to be had: PostgreSQL may not
    have noticed yet that the worker's last session is over."""
    return bool(
        tx.value(
            "SELECT pg_try_advisory_lock(%(class)s, number) FROM workers WHERE id = %(id)s",
            {"class": _LOCK_CLASS, "id": worker_id},
        )
    )


def heartbeat(tx: Transaction, worker_id: str) -> bool:
    """Whether the worker is still counted among the living; if not, it has to register anew."""
    return bool(
        tx.execute(
            "UPDATE workers SET seen_at = now() WHERE id = %(id)s AND lost_at IS NULL",
            {"id": worker_id},
        )
    )


def unregister(tx: Transaction, worker_id: str) -> None:
    tx.execute("DELETE FROM workers WHERE id = %(id)s", {"id": worker_id})


def mark_lost(tx: Transaction, lease_seconds: float) -> list[str]:
    """The ids of workers found dead now. Their runs are released next."""
    return tx.values(
        "UPDATE workers SET lost_at = now() FROM sweeps WHERE lost_at IS NULL AND ("
        " greatest(seen_at, unbroken_since) < now() - make_interval(secs => %(lease_seconds)s)"
        " OR (greatest(seen_at, unbroken_since)"
        " < now() - make_interval(secs => %(reconnect_seconds)s)"
        " AND NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND classid = %(class)s AND objid = number::oid"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))))"
        " RETURNING workers.id",
        {
            "lease_seconds": lease_seconds,
            "reconnect_seconds": _RECONNECT_SECONDS,
            "class": _LOCK_CLASS,
        },
    )


def forget_lost(tx: Transaction) -> None:
    """Rows of lost workers that hold nothing any more, kept a while for whoever looks."""
    tx.execute(
        "DELETE FROM workers WHERE lost_at < now() - interval '1 hour'"
        " AND NOT EXISTS (SELECT FROM runs WHERE worker_id = workers.id)"
        " AND NOT EXISTS (SELECT FROM vector_store_files WHERE worker_id = workers.id)"
    )


def take_sweep(tx: Transaction, period_seconds: float) -> bool:
    """Whether this sweep is ours: one in each period, whoever comes first."""
    return bool(
        tx.execute(
            "UPDATE sweeps SET swept_at = now(), unbroken_since = CASE"
            " WHEN swept_at < now() - make_interval(secs => %(period_seconds)s * 3 + 1)"
            " THEN now() ELSE unbroken_since END"
            " WHERE swept_at < now() - make_interval(secs => %(period_seconds)s)",
            {"period_seconds": period_seconds},
        )
    )


def resume_sweeps(tx: Transaction) -> None:
    """A sweeper that lost its connection begins anew: others may have lost theirs with it."""
    tx.execute("UPDATE sweeps SET unbroken_since = now()")
