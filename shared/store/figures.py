"""What PostgreSQL can say of all processes together, for whoever watches them."""

from dataclasses import dataclass

from shared.db import Transaction
from shared.store import workers
from shared.store.runs import LANES


@dataclass(frozen=True)
class Waiting:
    lane: str
    runs: int
    oldest_seconds: float  # that the one has waited which waits longest; 0 if none does


@dataclass(frozen=True)
class Figures:
    workers: int  # whose heartbeat was heard lately
    paused_models: int
    sweep_seconds: float | None  # since the last sweep began; None if there was none yet


def waiting(tx: Transaction) -> list[Waiting]:
    """Each lane's runs that a worker could take, had it time, and those whose model is left alone
    for now. Not those in line behind another run of their thread. Read by an index, row by row: a
    queue of a million takes some tenths of a second."""
    found = tx.all(
        Waiting,
        "SELECT lane, count(*) AS runs,"
        " extract(epoch FROM now() - min(run_after))::float8 AS oldest_seconds"
        " FROM runs WHERE worker_id IS NULL AND status IN ('queued', 'in_progress')"
        " AND run_after < 'infinity' AND run_after <= now() GROUP BY lane",
    )
    empty = set(LANES) - {one.lane for one in found}
    return sorted([*found, *(Waiting(lane, 0, 0.0) for lane in empty)], key=lambda one: one.lane)


def read(tx: Transaction) -> Figures:
    found = tx.one(
        Figures,
        "SELECT (SELECT count(*) FROM workers WHERE lost_at IS NULL"
        " AND seen_at > now() - make_interval(secs => %(silent)s)) AS workers,"
        " (SELECT count(*) FROM model_pauses WHERE until > now()) AS paused_models,"
        " (SELECT extract(epoch FROM now() - swept_at) FROM sweeps"
        " WHERE isfinite(swept_at))::float8 AS sweep_seconds",
        {"silent": 5 * workers.HEARTBEAT_SECONDS},
    )
    if found is None:
        raise RuntimeError("a SELECT without FROM has one row")
    return found
