"""The database that a command is about."""

from cli.embedded.postgres import Postgres
from shared.db import Database
from shared.settings import Settings


def database() -> Database:
    return Database(database_url(Settings.from_env()), 2)


def database_url(settings: Settings) -> str:
    """The given one, or that of a `treadle up` which runs on the same TREADLE_HOME."""
    directory = settings.home / "postgres"
    if settings.database_url or not directory.exists():
        return settings.require("database_url").database_url
    return Postgres(directory).url
