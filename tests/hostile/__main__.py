"""`python -m tests.hostile`: every trick on every route, and a table of the statuses."""

import sys
import tempfile
from pathlib import Path

from cli.embedded.postgres import Postgres
from cli.embedded.valkey import Valkey
from shared import events, queue, rates
from shared.schema import migrate
from shared.settings import Settings
from tests.hostile.play import Played, play, table


def play_on_servers_of_its_own(directory: Path) -> list[Played]:
    with (
        Postgres(directory / "postgres", fast=True) as postgres,
        Valkey(directory / "valkey") as valkey,
    ):
        migrate(postgres.url)
        settings = Settings(
            database_url=postgres.url,
            redis_url=valkey.url,
            home=directory,
            unsafe_database=True,
            log_level="WARNING",
        )
        for configure in (queue.configure, events.configure, rates.configure):
            configure(settings)
        return play(settings, directory)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="treadle-hostile-") as directory:
        played = play_on_servers_of_its_own(Path(directory))
    sys.stdout.write(f"{table(played)}\n")
    sys.exit(any(one.outcome.flaw for one in played))
