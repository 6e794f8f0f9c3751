"""Whether the time of an answer tells that another project's object exists.

`python -m tests.bench.tenancy [CALLS]` asks each route for an id of another project and for one
that names nothing, in turn, and prints the medians. Nothing is asserted: speed is not a test.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import click
import httpx2
from flask import Flask

from cli.embedded.postgres import Postgres
from cli.embedded.valkey import Valkey
from shared.db import Database
from shared.ids import random_text
from shared.schema import migrate
from shared.settings import Settings
from tests.conftest import a_caller, an_app, http_as
from tests.integration.samples import a_body
from tests.integration.wire import Route, a_world, routes

# So that neither its row nor its page of the index is the only one.
_OTHERS = 300


def main(calls: int) -> None:
    with (
        tempfile.TemporaryDirectory() as home,
        Postgres(Path(home) / "postgres", fast=True) as postgres,
        Valkey(Path(home) / "valkey") as valkey,
    ):
        migrate(postgres.url)
        settings = Settings(
            database_url=postgres.url, redis_url=valkey.url, log_level="WARNING", database_pool=2
        )
        with an_app(settings) as app, Database(postgres.url, 2) as database:
            _compare(app, database, calls)


def _compare(app: Flask, database: Database, calls: int) -> None:
    owner, asking = (a_caller(database, name) for name in ("owner", "asking"))
    for _ in range(_OTHERS):
        a_world(database, owner.project_id)
    click.echo(f"{'another':>10} {'nobody':>10} {'ratio':>6}   median ms of {calls} calls each")
    with http_as(app, asking.secret) as http:
        own = a_world(database, asking.project_id)
        for route in routes(app):
            if route.id_names:
                theirs = a_world(database, owner.project_id, route)
                _print(route, *_medians(http, route, theirs, own, calls))


def _medians(
    http: httpx2.Client, route: Route, theirs: dict[str, str], own: dict[str, str], calls: int
) -> tuple[float, float]:
    body = None if route.body is None else a_body(route.body, own)
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(calls * 2):
        # Another name each time: what was asked for before might be remembered.
        never = {name: f"{id_.partition('_')[0]}_{random_text(24)}" for name, id_ in theirs.items()}
        path = f"http://treadle{route.path(never if number % 2 else theirs)}"
        began = time.perf_counter()
        answer = http.request(route.method, path, json=body)
        taken[number % 2].append(time.perf_counter() - began)
        assert answer.status_code == 404, answer.text
    return median(taken[0]) * 1000, median(taken[1]) * 1000


def _print(route: Route, theirs: float, never: float) -> None:
    click.echo(f"{theirs:10.3f} {never:10.3f} {theirs / never:6.3f}   {route}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
