"""Projects: the tenants. What they share of the workers is theirs, not that of their keys."""

from dataclasses import dataclass
from datetime import datetime

from shared.db import Transaction
from shared.errors import NotFound

_COLUMNS = "id, name, created_at, weight, running_runs"


@dataclass(frozen=True, kw_only=True)
class Project:
    id: str
    name: str
    created_at: datetime
    weight: int  # runs of it that are taken in one turn, while others wait too
    running_runs: int | None  # worked on at once; None: what the settings say; 0: any number


def list_all(tx: Transaction) -> list[Project]:
    return tx.all(Project, "SELECT " + _COLUMNS + " FROM projects ORDER BY created_at, id")


def set_share(
    tx: Transaction, project_id: str, *, weight: int | None, running_runs: int | str | None
) -> Project:
    """None leaves either as it is; "default" leaves `running_runs` to the settings."""
    project = tx.one(
        Project,
        "UPDATE projects SET weight = coalesce(%(weight)s, weight),"
        " running_runs = CASE WHEN %(changed)s THEN %(running_runs)s ELSE running_runs END"
        " WHERE id = %(id)s RETURNING " + _COLUMNS,
        {
            "id": project_id,
            "weight": weight,
            "changed": running_runs is not None,
            "running_runs": running_runs if isinstance(running_runs, int) else None,
        },
    )
    if project is None:
        raise NotFound(f"No project found with id '{project_id}'.")
    return project
