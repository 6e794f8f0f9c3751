"""`treadle keys`: who may call, and how much."""

from collections.abc import Callable

import click

from cli.database import database
from cli.limits import Limit, shown
from shared.store import callers
from shared.store.callers import Key, Limits


def _with_limits(command: Callable[..., None]) -> Callable[..., None]:
    for option, about in (
        ("--queued-runs", "Runs of its project that may wait for a worker at once."),
        ("--requests-per-minute", "Requests that it may make in a minute."),
    ):
        command = click.option(option, type=Limit(), help=f"{about} 0: any number.")(command)
    return command


@click.group()
def keys() -> None:
    """Make, list, limit and revoke the keys that clients send.

    \b
        treadle keys create "the shop's bot" --requests-per-minute 600
        treadle keys create "the shop's next bot" --project proj_...
        treadle keys list
        treadle keys limit key_... --queued-runs 1000
        treadle keys revoke key_...

    A key has a project of its own unless one is named; keys of one project see the same things, so
    one can follow another. Works on DATABASE_URL, or on the running `treadle up` of TREADLE_HOME.
    """


@keys.command()
@click.argument("name")
@click.option("--project", metavar="PROJECT_ID", help="The project it opens, instead of a new one.")
@_with_limits
def create(name: str, project: str | None, **limits: int | str | None) -> None:
    """Make a key and print it: this once and never again.

    What is not limited here is limited by TREADLE_REQUESTS_PER_MINUTE and TREADLE_QUEUED_RUNS.
    """
    with database() as opened, opened.transaction() as tx:
        made = callers.create(tx, name, project_id=project, limits=Limits(**_given(limits)))
    click.echo(made[1])


@keys.command(name="list")
def list_keys() -> None:
    """Show every key with its project and limits, without its secret."""
    with database() as opened, opened.transaction() as tx:
        found = callers.list_all(tx)
    for key in found:
        click.echo(_line(key))


@keys.command()
@click.argument("key_id", metavar="ID")
@_with_limits
def limit(key_id: str, **limits: int | str | None) -> None:
    """Change a key's limits; `default` leaves one to the settings.

    An API that has just seen the key may hold to the old ones for some seconds more.
    """
    with database() as opened, opened.transaction() as tx:
        click.echo(_line(callers.limit(tx, key_id, _given(limits))))


@keys.command()
@click.argument("key_id", metavar="ID")
def revoke(key_id: str) -> None:
    """End a key; what its project holds stays, and its runs go on.

    An API that has just seen the key may take it for some seconds more.
    """
    with database() as opened, opened.transaction() as tx:
        key = callers.revoke(tx, key_id)
    click.echo(f"{key.id} ({key.name}) is revoked.")


def _given(limits: dict[str, int | str | None]) -> dict[str, int | None]:
    """Those that were named."""
    return {
        name: value if isinstance(value, int) else None
        for name, value in limits.items()
        if value is not None
    }


def _line(key: Key) -> str:
    state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "valid"
    return "  ".join(
        (
            key.id,
            key.hint,
            f"{key.created_at:%Y-%m-%d %H:%M}",
            state,
            key.project_id,
            f"requests/min {shown(key.requests_per_minute)}",
            f"queued runs {shown(key.queued_runs)}",
            key.name,
        )
    )
