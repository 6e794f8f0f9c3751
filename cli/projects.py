"""`treadle projects`: how much of the workers each has."""

import click

from cli.database import database
from cli.limits import Limit, shown
from shared.store import projects as store
from shared.store.projects import Project

_MOST_WEIGHT = 1000


@click.group()
def projects() -> None:
    """List the projects, and say how they share the workers.

    \b
        treadle projects list
        treadle projects share proj_... --weight 3
        treadle projects share proj_... --running-runs 50

    While several projects have runs that wait, they take turns, and in each turn a project has as
    many runs taken as its weight. Works on DATABASE_URL, or on the running `treadle up` of
    TREADLE_HOME.
    """


@projects.command(name="list")
def list_projects() -> None:
    """Show every project with its share."""
    with database() as opened, opened.autocommit() as tx:
        found = store.list_all(tx)
    for project in found:
        click.echo(_line(project))


@projects.command()
@click.argument("project_id", metavar="ID")
@click.option("--weight", type=click.IntRange(1, _MOST_WEIGHT), help="Runs taken in one turn.")
@click.option("--running-runs", type=Limit(), help="Runs worked on at once. 0: any number.")
def share(project_id: str, weight: int | None, running_runs: int | str | None) -> None:
    """Change a project's share; what is not named stays.

    Workers hold to it within some seconds. What is not limited here is limited by
    TREADLE_RUNNING_RUNS.
    """
    with database() as opened, opened.transaction() as tx:
        changed = store.set_share(tx, project_id, weight=weight, running_runs=running_runs)
    click.echo(_line(changed))


def _line(project: Project) -> str:
    return "  ".join(
        (
            project.id,
            f"{project.created_at:%Y-%m-%d %H:%M}",
            f"weight {project.weight}",
            f"running runs {shown(project.running_runs)}",
            project.name,
        )
    )
