"""Which run is next: lanes, turns and room. Here stands how it is found, `claims` takes it.

Bells say that there is work and nothing more. What is next is decided when a run is claimed, from
the rows that there are: no order is written down beforehand that would have to be kept right.
"""

from dataclasses import dataclass
from typing import LiteralString

from shared.db import Transaction
from shared.store.runs import BATCH, CONVERSATION, PAUSED_MODELS, Run, claimable

# What is the same for every run is looked up once. Who holds one on its last chance takes no other.
_KNOWN: LiteralString = (
    "WITH known AS MATERIALIZED (SELECT "
    + PAUSED_MODELS
    + " AS paused, CASE WHEN EXISTS (SELECT FROM runs WHERE worker_id = %(worker_id)s"
    " AND lapses >= %(last_chance)s) THEN %(last_chance)s ELSE 2147483647 END AS too_often)"
)
_MAY_BE_CLAIMED: LiteralString = (
    claimable("(SELECT paused FROM known)::text[]") + " AND lapses < (SELECT too_often FROM known)"
)
_ROOM: LiteralString = (
    " AND (%(most_of_model)s = 0 OR (SELECT count(*) FROM runs AS held"
    " WHERE held.worker_id IS NOT NULL AND held.model = runs.model) < %(most_of_model)s)"
)


def _oldest(lane: LiteralString, projects: LiteralString, most: LiteralString) -> LiteralString:
    return (
        "(SELECT id FROM (SELECT id FROM runs WHERE lane = "
        + lane
        + " AND project_id "
        + projects
        + " AND "
        + _MAY_BE_CLAIMED
        + " ORDER BY project_id, run_after LIMIT "
        + most
        + " FOR UPDATE SKIP LOCKED) AS oldest)"
    )


def _of_lane(lane: LiteralString, since: LiteralString, most: LiteralString) -> LiteralString:
    """From one project on to the last, then from the first."""
    return (
        "(SELECT id FROM ("
        + _oldest(lane, ">= " + since, most)
        + " UNION ALL "
        + _oldest(lane, "< " + since, most)
        + ") AS found LIMIT "
        + most
        + ")"
    )


def _first_of(projects: LiteralString) -> LiteralString:
    return (
        "(SELECT project_id, run_after FROM runs WHERE lane = %(lane)s"
        " AND project_id "
        + projects
        + " AND "
        + _MAY_BE_CLAIMED
        + " ORDER BY project_id, run_after LIMIT 1)"
    )


# Of the project whose turn it is, where its oldest has waited long: it has a backlog.
_NEWEST: LiteralString = (
    "(SELECT id FROM (SELECT id FROM runs WHERE lane = %(lane)s AND project_id = (SELECT project_id"
    " FROM ("
    + _first_of(">= %(since)s")
    + " UNION ALL "
    + _first_of("< %(since)s")
    + " LIMIT 1) AS oldest WHERE run_after < now() - interval '2 seconds') AND "
    + _MAY_BE_CLAIMED
    + " ORDER BY run_after DESC LIMIT 1 FOR UPDATE SKIP LOCKED) AS newest)"
)


def _next(*parts: LiteralString, most: LiteralString = "%(most)s") -> LiteralString:
    """Each part is looked at only while those before it have not found enough."""
    found: LiteralString = " UNION ALL ".join(parts)
    return _KNOWN + ", next AS (" + found + " LIMIT " + most + ")"


_OF_BOTH_LANES: LiteralString = (
    _of_lane("%(lane)s", "%(since)s", "%(most_of_lane)s")
    + " UNION ALL "
    + _of_lane("%(other)s", "%(other_since)s", "%(most_of_other)s")
)
NEXT: LiteralString = _next(_OF_BOTH_LANES)
NEWEST_FIRST: LiteralString = _next(_NEWEST, _OF_BOTH_LANES)


_HAS_ROOM: LiteralString = (
    "(SELECT most = 0 OR most > (SELECT count(*) FROM runs AS held"
    " WHERE held.worker_id IS NOT NULL AND held.project_id = hop.project_id)"
    " FROM (SELECT coalesce(running_runs, %(most_of_project)s) AS most FROM projects"
    " WHERE projects.id = hop.project_id) AS bound)"
)


def _first_with_room(lane: LiteralString, since: LiteralString) -> LiteralString:
    """From one project to the next behind it while the one has no room. Nothing is locked, for
    nobody else claims meanwhile."""
    probe: LiteralString = (
        "SELECT runs.id, runs.project_id FROM runs WHERE "
        + lane
        + " AND "
        + _MAY_BE_CLAIMED
        + _ROOM
        + " AND runs.project_id "
    )
    behind: LiteralString = "> hop.project_id ORDER BY runs.project_id, run_after LIMIT 1"
    return (
        "(WITH RECURSIVE hop AS (("
        + probe
        + since
        + " ORDER BY runs.project_id, run_after LIMIT 1)"
        + " UNION ALL SELECT behind.* FROM hop CROSS JOIN LATERAL ("
        + probe
        + behind
        + ") AS behind WHERE NOT "
        + _HAS_ROOM
        + ") SELECT id FROM hop WHERE "
        + _HAS_ROOM
        + " LIMIT 1)"
    )


# Who counts places has no haste: the newest are not asked for.
NEXT_WITH_ROOM: LiteralString = _next(
    _first_with_room("%(most_of_lane)s > 0 AND lane = %(lane)s", ">= %(since)s"),
    _first_with_room("%(most_of_lane)s > 0 AND lane = %(lane)s", ">= ''"),
    _first_with_room("%(most_of_other)s > 0 AND lane = %(other)s", ">= %(other_since)s"),
    _first_with_room("%(most_of_other)s > 0 AND lane = %(other)s", ">= ''"),
    most="1",
)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Whose turn it is, as one worker process sees it. In each lane projects take turns in the
    order of their ids: it is that of the first that waits from `since` on, or of the very first."""

    most: int = 1  # so many runs at once, as far as there are
    lane: str = CONVERSATION
    since: str = ""
    most_of_lane: int = 1
    other: str = BATCH  # where not enough wait in the first lane
    other_since: str = ""
    most_of_other: int = 1
    newest: bool = False  # of a project with a backlog not the oldest run this time, but its newest


@dataclass(frozen=True, kw_only=True)
class Room:
    """How many runs all workers together may hold; 0: any number."""

    of_model: int = 0
    of_project: int = 0  # where the project has no number of its own
    is_bounded: bool = False  # some number, of the settings or of a project, is not 0


@dataclass(frozen=True)
class Ahead:
    runs: int  # counted up to MOST_AHEAD
    waited_seconds: float


MOST_AHEAD = 10_000


def ahead_of(tx: Transaction, run: Run) -> Ahead | None:
    """How many runs of its project stand before this one in its lane, the project's newest aside;
    None if it does not wait for a worker."""
    return tx.one(
        Ahead,
        "SELECT (SELECT count(*) FROM (SELECT FROM runs WHERE lane = %(lane)s AND project_id ="
        " %(project_id)s AND worker_id IS NULL AND status IN ('queued', 'in_progress') AND"
        " run_after < 'infinity' AND run_after < mine.run_after LIMIT %(most)s) AS before) AS runs,"
        " extract(epoch FROM now() - mine.run_after)::float8 AS waited_seconds"
        " FROM runs AS mine WHERE id = %(id)s AND status = 'queued' AND worker_id IS NULL"
        " AND run_after < 'infinity'",
        {"lane": run.lane, "project_id": run.project_id, "id": run.id, "most": MOST_AHEAD},
    )


def some_project_is_bounded(tx: Transaction) -> bool:
    """Whether a project may have only so many runs worked on at once, by its own number."""
    return bool(tx.value("SELECT EXISTS (SELECT FROM projects WHERE running_runs > 0)"))
