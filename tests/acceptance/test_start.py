"""Processes that start, and those that say in one sentence why they do not."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx2
import psycopg
import pytest

from cli.embedded.valkey import Valkey
from shared.settings import Settings
from tests.acceptance.conftest import Stack, environment_of, wait_until


def treadle(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        env=environment_of(settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("part", ["api", "worker"])
def test_a_process_refuses_a_database_that_forgets_in_one_sentence(
    settings: Settings, part: str
) -> None:
    ended = treadle(replace(settings, unsafe_database=False), part)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("treadle")
    assert "PostgreSQL runs with fsync=off" in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize("part", ["api", "worker"])
def test_a_process_refuses_a_database_without_our_tables(settings: Settings, part: str) -> None:
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM schema_migrations")
    ended = treadle(replace(settings, log_level="ERROR"), part)
    assert ended.returncode == 2
    assert ended.stderr.endswith("The database is not up to date: run `treadle migrate` first.\n")
    assert ended.stderr.count("\n") == 1


def test_check_shows_all_that_is_found_and_what_to_do(settings: Settings, valkey: Valkey) -> None:
    ended = treadle(replace(settings, unsafe_database=False), "check")
    assert ended.returncode == 2
    words = [line.split() for line in ended.stdout.splitlines()]
    for wanted in (
        ["ok", "PostgreSQL", "role", "primary"],
        ["refused", "PostgreSQL", "fsync", "off"],
        ["refused", "PostgreSQL", "synchronous_commit", "off"],
        ["ok", "PostgreSQL", "schema", "up", "to", "date"],
        ["ok", "Redis", "maxmemory-policy", "noeviction"],
    ):
        assert wanted in words
    assert "set TREADLE_UNSAFE_DATABASE=1" in ended.stdout


def test_check_is_content_where_a_start_is(settings: Settings) -> None:
    assert treadle(settings, "check").returncode == 0


class TestWithoutRedis:
    @pytest.fixture
    def redis_url(self, tmp_path: Path) -> str:
        return Valkey(tmp_path / "not-started").url

    def test_the_api_starts_warns_and_tells_of_each_server_whether_it_is_there(
        self, stack: Stack
    ) -> None:
        port = stack.launch_api()
        url = f"http://127.0.0.1:{port}/readyz"
        wait_until(lambda: _answers(url), 30, "the API")
        answer = httpx2.get(url)
        assert answer.status_code == 200
        assert answer.json() == {"postgresql": True, "redis": False}
        assert "REDIS_URL cannot be reached" in (stack.logs / "api-0.log").read_text()


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False
