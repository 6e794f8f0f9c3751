"""Clients as other people wrote them, in environments of their own, against one Treadle."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from cli.embedded.postgres import Postgres
from cli.embedded.valkey import Valkey
from shared.db import Database
from tests.acceptance.conftest import Stack, ended
from tests.conftest import a_caller, a_database, an_empty_redis, settings_for
from tests.model_server import ModelServer

# A program's command line, and what it told.
Run = Callable[..., list[Any]]


@pytest.fixture(scope="package")
def stack(
    postgres: Postgres,
    valkey: Valkey,
    session_model_server: ModelServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """An API and a worker, for all the clients that this process of pytest runs."""
    with a_database(postgres) as database_url, an_empty_redis(valkey) as redis_url:
        settings = settings_for(
            database_url, redis_url, session_model_server, tmp_path_factory.mktemp("home")
        )
        with Database(database_url, 1) as database:
            secret = a_caller(database, "clients").secret
        with ended(Stack(settings, secret, tmp_path_factory.mktemp("logs"))) as stack:
            stack.start_worker()
            stack.start_api()
            yield stack


@pytest.fixture
def run(stack: Stack, model_server: ModelServer) -> Run:
    """Runs a program that knows Treadle by its base URL and key alone."""

    def run(*command: str, **environment: str) -> list[Any]:
        given = {"OPENAI_BASE_URL": stack.base_urls[0], "OPENAI_API_KEY": stack.secret}
        return _told(command, {"PATH": os.environ["PATH"], **given, **environment})

    return run


def _told(command: tuple[str, ...], environment: Mapping[str, str]) -> list[Any]:
    """What the program told: a JSON value a line."""
    done = subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return [json.loads(line) for line in done.stdout.splitlines()]
