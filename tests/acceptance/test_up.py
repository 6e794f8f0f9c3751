"""`treadle up` as a person starts it: real servers of its own, a scripted model, signals."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from openai import OpenAI

from cli.embedded.home import Home
from cli.embedded.question import QUESTION
from tests.acceptance.conftest import free_port, wait_until
from tests.acceptance.up import Up
from tests.model_server import ModelServer
from tests.published.recording import recorded_http

pytestmark = pytest.mark.xdist_group("up")  # the tests share one `up`

ROOT = Path(__file__).parents[2]
ANSWER = f"You said: {QUESTION}"
BY_WORDS = "Vector stores are searched by words alone."
LIBGOMP = (
    "the system library libgomp.so.1, which is missing here: `apt-get install libgomp1` as root"
)


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def running(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    home = tmp_path_factory.mktemp("running")
    up = Up(home, free_port(), model.base_url).started()
    yield up
    up.stop()


@pytest.fixture
def up(model: ModelServer, tmp_path: Path) -> Iterator[Up]:
    up = Up(tmp_path, free_port(), model.base_url).started()
    yield up
    if up.process.poll() is None:
        up.stop()


def test_up_asks_a_question_and_shows_the_answer(running: Up) -> None:
    assert f"Asked: {QUESTION}\n" in running.text
    assert f"Answered: {ANSWER}\n" in running.text
    assert f"Base URL  http://127.0.0.1:{running.port}/v1\n" in running.text


def test_the_printed_program_works_when_it_is_pasted_into_a_shell(running: Up) -> None:
    printed = running.text
    program = printed[printed.index("\n. ") : printed.index("\nEND\n") + 5]
    without = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI")}
    pasted = subprocess.run(
        ["sh"], input=program, cwd=ROOT, env=without, capture_output=True, text=True, check=False
    )
    assert (pasted.stdout, pasted.stderr) == (f"{ANSWER}\n", "")


def test_an_opengpts_program_needs_no_key_on_this_machine(running: Up) -> None:
    url = f"http://127.0.0.1:{running.port}/opengpts/assistants"
    cookies = {"opengpts_user_id": "foo"}
    made = httpx2.put(url, json={"name": "bar", "config": {}}, cookies=cookies).json()
    key = Home(running.home).client_settings()["OPENAI_API_KEY"]
    base_url = f"http://127.0.0.1:{running.port}/v1"
    with OpenAI(base_url=base_url, api_key=key, http_client=recorded_http()) as client:
        assert made["name"] in [assistant.name for assistant in client.beta.assistants.list()]


def test_client_env_is_for_its_owner_only_and_holds_the_printed_key(running: Up) -> None:
    file = running.home / "client.env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = file.read_text().splitlines()
    assert lines[0] == f"export OPENAI_BASE_URL=http://127.0.0.1:{running.port}/v1"
    assert f"Key       {lines[1].removeprefix('export OPENAI_API_KEY=')}\n" in running.text


def test_a_second_up_on_the_same_home_is_refused_with_a_sentence(running: Up) -> None:
    second = running.treadle("up")
    assert second.returncode == 1
    assert "already runs in" in second.stderr
    assert str(running.process.pid) in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_in_use_is_a_sentence_and_nothing_is_left_running(
    running: Up, tmp_path: Path, model: ModelServer
) -> None:
    other = Up(tmp_path, running.port, model.base_url)
    assert other.wait() == 1
    assert "TREADLE_PORT" in other.text
    assert "Traceback" not in other.text
    assert other.processes() == set()


def test_keys_are_made_listed_and_revoked_on_the_running_up(running: Up) -> None:
    secret = running.treadle("keys", "create", "a shop").stdout.strip()
    assert _status(running, secret) == 200
    listed = running.treadle("keys", "list").stdout
    line = next(line for line in listed.splitlines() if line.endswith("a shop"))
    assert "valid" in line
    assert secret not in listed
    revoked = running.treadle("keys", "revoke", line.split()[0])
    assert revoked.stdout.endswith("(a shop) is revoked.\n")
    assert "revoked 2" in running.treadle("keys", "list").stdout
    missing = running.treadle("keys", "revoke", "key_none")
    assert (missing.returncode, missing.stderr) == (
        1,
        "treadle: No key found with id 'key_none'.\n",
    )


def test_a_worker_that_is_killed_is_started_again_and_answers(running: Up) -> None:
    before = running.worker()
    os.kill(before, signal.SIGKILL)
    running.wait_for("The worker ended (status -9); starting it again")
    wait_until(lambda: running.worker() not in {0, before}, 20, "another worker")
    assert _answer(running, "Still there?") == "You said: Still there?"


def test_sigterm_stops_everything(up: Up) -> None:
    assert up.stop() == 0
    assert up.processes() == set()
    assert "Stopped" in up.text


def test_after_a_kill_nothing_is_left_behind_and_the_next_start_works(
    up: Up, model: ModelServer
) -> None:
    key = (up.home / "client.env").read_text()
    up.kill()
    wait_until(lambda: not up.processes(), 10, "every child to end")
    again = Up(up.home, up.port, model.base_url).started()
    try:
        assert f"Answered: {ANSWER}\n" in again.text
        assert (up.home / "client.env").read_text() == key
    finally:
        again.stop()


def _answer(up: Up, question: str) -> str:
    with up.client() as client:
        assistant = client.beta.assistants.create(model="scripted")
        run = client.beta.threads.create_and_run_poll(
            assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": question}]}
        )
        content = client.beta.threads.messages.list(run.thread_id).data[0].content[0]
        assert content.type == "text"
        return content.text.value


def _status(up: Up, secret: str) -> int:
    url = f"http://127.0.0.1:{up.port}/v1/assistants"
    with recorded_http(headers={"Authorization": f"Bearer {secret}"}) as http:
        return http.get(url).status_code
