"""The `treadle` command."""

import os
import sys
from typing import Any, NoReturn

import click

from cli.database import database_url
from cli.embedded import programs
from cli.keys import keys
from cli.projects import projects
from cli.up import up as start_everything
from shared import log, servers
from shared.errors import SettingsError, TreadleError
from shared.schema import migrate
from shared.settings import Settings

# A program of its own: no other command is to wait for the client to be loaded. Whatever lies in
# the caller's own directory is none of it.
ASK = ("-P", "-m", "cli.ask")


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

    Everything at once, with PostgreSQL, Valkey and small local models of its own:

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

    Then, with 100,000 questions in a file:

    \b
        treadle ask questions.txt -o answers.jsonl --model gpt-4o

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


@main.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def ask(arguments: tuple[str, ...]) -> None:
    """Ask all questions of a file: none twice, none lost."""
    _become(*ASK, *arguments)


@main.command(name="migrate")
def migrate_database() -> None:
    """Bring the database at DATABASE_URL up to date.

    Safe to repeat, and to run under the version that serves meanwhile.
    """
    applied = migrate(database_url(Settings.from_env()))
    for name in applied:
        click.echo(name)
    click.echo(f"The database is up to date ({len(applied)} applied now).")


@main.command()
def check() -> None:
    """Look at PostgreSQL, Redis and S3 as a start does, and show all that is found.

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


def _connections(settings: Settings) -> int:
    """For whichever of the two processes needs more."""
    return max(servers.connections_of_api(settings), servers.connections_of_worker(settings))


main.add_command(keys)
main.add_command(projects)


def _become(*arguments: str) -> NoReturn:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *arguments])


if __name__ == "__main__":
    main(prog_name="treadle")
