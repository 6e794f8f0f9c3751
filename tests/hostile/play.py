"""Plays all tricks against an API of its own."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
from flask import Flask

from shared.db import Database
from shared.settings import Settings
from tests.acceptance.conftest import Stack, ended
from tests.conftest import Caller, a_caller, an_app
from tests.hostile.requests import Hostile, Target, requests
from tests.hostile.sending import Outcome, send
from tests.integration.samples import a_body
from tests.integration.wire import Route, a_world, routes

_AT_ONCE = 4


@dataclass(frozen=True)
class Played:
    route: Route
    hostile: Hostile
    outcome: Outcome

    def __str__(self) -> str:
        return f"{self.route}, {self.hostile.trick}: {self.outcome.status} {self.outcome.flaw}"


def play(settings: Settings, directory: Path) -> list[Played]:
    """On servers that run, whose database is up to date."""
    patient = replace(settings, run_seconds=3600, hold_seconds=1.0, idle_seconds=1)
    with ended(Stack(patient, "", directory)) as stack:
        port = int(stack.start_api().split(":")[2].removesuffix("/v1"))
        with Database(settings.database_url, 2) as database, an_app(settings) as app:
            targets = list(_targets(app, database, a_caller(database, "hostile")))
        return _all(port, targets)


def _targets(app: Flask, database: Database, caller: Caller) -> Iterator[Target]:
    for route in routes(app):
        # A stream of a run that waits does not end.
        if not route.streams:
            ids = a_world(database, caller.project_id, route)
            body = a_body(route.body, ids) if route.body else {}
            yield Target(
                route,
                route.path(ids),
                orjson.dumps(body) if route.method == "POST" else b"",
                caller.secret,
            )


def _all(port: int, targets: list[Target]) -> list[Played]:
    tricks = [(target, hostile) for target in targets for hostile in requests(target)]

    def one(trick: tuple[Target, Hostile]) -> Played:
        target, hostile = trick
        return Played(target.route, hostile, send(port, hostile))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(one, tricks))


def table(played: list[Played]) -> str:
    """A row for each trick: how often each status came; 0 where the connection was closed."""
    statuses = sorted({one.outcome.status for one in played})
    tricks = list(dict.fromkeys(one.hostile.trick for one in played))
    width = max(map(len, tricks))
    counted = Counter((one.hostile.trick, one.outcome.status) for one in played)
    lines = [" " * width + "".join(f"{status:>7}" for status in statuses)]
    for trick in tricks:
        counts = (counted[trick, status] or "" for status in statuses)
        lines.append(f"{trick:<{width}}" + "".join(f"{count:>7}" for count in counts))
    sums = Counter(one.outcome.status for one in played)
    lines.append(f"{'all':<{width}}" + "".join(f"{sums[status]:>7}" for status in statuses))
    flaws = [one for one in played if one.outcome.flaw]
    lines.append(f"{len(played)} requests, {len(flaws)} flaws")
    return "\n".join([*lines, *map(str, flaws)])
