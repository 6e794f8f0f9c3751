"""The `treadle` command."""

import os
import sys
from typing import Any, NoReturn

import click

from cli.embedded import programs
from cli.embedded.postgres import Postgres
from cli.up import up as start_everything
from shared import log, servers
from shared.db import Database, migrate
from shared.errors import SettingsError, TreadleError
from shared.settings import Settings
from shared.store import callers


class Commands(click.Group):
    """Errors with a name are one sentence, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TreadleError as error:
            click.echo(f"treadle: {error}", err=True)
            ctx.exit(2 if isinstance(error, SettingsError) else 1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="treadle")
def main() -> None:
    """Treadle serves the Assistants API from your own machines.

    Everything at once, with PostgreSQL, Valkey and a small local model of its own:

    \b
        treadle up
        TREADLE_MODEL_BASE_URL=http://127.0.0.1:11434/v1 treadle up

    Or each part by itself, on servers you run:

    \b
        export DATABASE_URL=postgresql://treadle@db/treadle
        export REDIS_URL=redis://redis:6379/0
        export TREADLE_MODEL_BASE_URL=http://model:8000/v1
        treadle migrate
        treadle keys create "first key"
        treadle api
        treadle worker

    All settings are environment variables; the README lists them.
    """


@main.command()
def up() -> None:
    """Start everything here and ask a first question.

    What DATABASE_URL, REDIS_URL or TREADLE_MODEL_BASE_URL name is used; the rest is started, with
    its state in TREADLE_HOME (.treadle). The API listens on TREADLE_PORT (8100).
    Ctrl-C stops everything.
    """
    start_everything(Settings.from_env())


@main.command()
def api() -> None:
    """Serve HTTP on TREADLE_HOST and TREADLE_PORT.

    Needs DATABASE_URL and REDIS_URL. Run as many as you like.
    """
    settings = Settings.from_env().require("database_url", "redis_url")
    log.configure(settings.log_level)
    servers.require(settings, servers.connections_of_api(settings), servers.log_warning)
    _become(*programs.API)


@main.command()
def worker() -> None:
    """Answer runs, TREADLE_CONCURRENCY at once.

    Needs DATABASE_URL, REDIS_URL and TREADLE_MODEL_BASE_URL. Run as many as you like.
    """
    _become(*programs.WORKER)


@main.command(name="migrate")
def migrate_database() -> None:
    """Bring the database at DATABASE_URL up to date.

    Safe to repeat, and to run under the version that serves meanwhile.
    """
    applied = migrate(_database_url(Settings.from_env()))
    for name in applied:
        click.echo(name)
    click.echo(f"The database is up to date ({len(applied)} applied now).")


@main.command()
def check() -> None:
    """Look at PostgreSQL and Redis as a start does, and show all that is found.

    The status is 2 if an API or a worker with these settings would refuse to start.
    """
    settings = Settings.from_env().require("database_url", "redis_url")
    found = list(servers.look(settings, _connections(settings)))
    for one in found:
        mark = "refused" if one.refused else "warning" if one.advice else "ok"
        click.echo(f"{mark:<9}{one.server:<12}{one.what:<20}{one.found}")
    for one in found:
        if one.advice:
            click.echo(f"\n{one.advice}")
    if any(one.refused for one in found):
        sys.exit(2)


@main.group()
def keys() -> None:
    """Make, list and revoke the keys that clients send.

    \b
        treadle keys create "the shop's bot"
        treadle keys list
        treadle keys revoke key_...

    Each key has a project of its own. Works on DATABASE_URL, or on the running `treadle up` of
    TREADLE_HOME.
    """


@keys.command()
@click.argument("name")
def create(name: str) -> None:
    """Make a key for a new project, and print it: this once and never again."""
    with _database() as database, database.transaction() as tx:
        _, secret = callers.create(tx, name)
    click.echo(secret)


@keys.command(name="list")
def list_keys() -> None:
    """Show every key without its secret."""
    with _database() as database, database.transaction() as tx:
        found = callers.list_all(tx)
    for key in found:
        state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "valid"
        click.echo(f"{key.id}  {key.hint}  {key.created_at:%Y-%m-%d %H:%M}  {state}  {key.name}")


@keys.command()
@click.argument("key_id", metavar="ID")
def revoke(key_id: str) -> None:
    """End a key; what its project holds stays.

    An API that has just seen the key may take it for some seconds more.
    """
    with _database() as database, database.transaction() as tx:
        key = callers.revoke(tx, key_id)
    click.echo(f"{key.id} ({key.name}) is revoked.")


def _connections(settings: Settings) -> int:
    """For whichever of the two processes needs more."""
    return max(servers.connections_of_api(settings), servers.connections_of_worker(settings))


def _database() -> Database:
    return Database(_database_url(Settings.from_env()), 2)


def _database_url(settings: Settings) -> str:
    """The given one, or that of a `treadle up` which runs on the same TREADLE_HOME."""
    directory = settings.home / "postgres"
    if settings.database_url or not directory.exists():
        return settings.require("database_url").database_url
    return Postgres(directory).url


def _become(*arguments: str) -> NoReturn:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *arguments])


if __name__ == "__main__":
    main(prog_name="treadle")
