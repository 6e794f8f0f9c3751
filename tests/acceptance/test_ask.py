"""`treadle ask` through everything that can happen to it: kills, interrupts, a server that is away."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import ROOT, Stack, wait_until
from tests.assistants_server import AssistantsServer
from tests.model_server import ModelServer, after

PROGRAM = [sys.executable, "-m", "cli.main", "ask"]
COUNT = 120


def environment(base_url: str, key: str) -> dict[str, str]:
    ours = {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": key, "PYTHONPATH": str(ROOT)}
    return {**os.environ, **ours}


def has_lines(output: Path, count: int) -> bool:
    return output.exists() and output.read_bytes().count(b"\n") >= count


def read(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text().splitlines()]


@pytest.mark.timeout(240)
def test_killed_twice_and_a_worker_once_each_question_has_one_right_answer_and_was_asked_once(
    stack: Stack, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.always(after(0.05))
    worker, _ = stack.start_worker(), stack.start_worker()
    url = stack.start_api()
    objects = [{"custom_id": f"q{n}", "question": f"Question {n}?"} for n in range(COUNT)]
    (tmp_path / "q.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in objects))
    output = tmp_path / "a.jsonl"
    command = [*PROGRAM, "q.jsonl", "-o", output.name, "--model", "m", "--in-flight", "24"]
    options = {"cwd": tmp_path, "env": environment(url, stack.secret)}
    for answers in (20, 50):
        with subprocess.Popen(command, **options) as asking:
            wait_until(partial(has_lines, output, answers), 60, f"{answers} answers")
            asking.kill()
        assert len(read(output)) < COUNT
    with output.open("ab") as file:
        file.write(b'{"custom_id":"torn')
    with subprocess.Popen(command, **options) as asking:
        wait_until(partial(has_lines, output, 70), 60, "70 answers")
        worker.kill()
        assert asking.wait(100) == 0
    lines = read(output)
    assert len(lines) == COUNT
    assert {line["custom_id"]: line["answer"] for line in lines} == {
        f"q{n}": f"You said: Question {n}?" for n in range(COUNT)
    }
    assert len(stack.client().beta.assistants.list().data) == 1
    times = Counter(body["messages"][-1]["content"] for body in model_server.requests)
    assert (len(times), max(times.values()) <= 2) == (COUNT, True)
    assert model_server.asked() <= COUNT + stack.settings.concurrency


class Terminal:
    """A program that believes to be watched."""

    def __init__(self, command: list[str], **options: Any) -> None:
        self._ours, its = pty.openpty()
        self.process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, **options)
        os.close(its)
        self.shown = ""

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self._ours)

    def wait_for(self, words: str, seconds: float = 60) -> None:
        """Among what is shown from now."""
        seen = len(self.shown)
        wait_until(lambda: words in self._read()[seen:], seconds, f"{words!r} in {self.shown!r}")

    def _read(self) -> str:
        while select.select([self._ours], [], [], 0.05)[0]:
            try:
                self.shown += os.read(self._ours, 65536).decode(errors="replace")
            except OSError:
                break
        return self.shown


@pytest.mark.timeout(240)
def test_on_a_terminal_the_progress_is_shown_an_absent_server_waited_for_and_ctrl_c_heeded(
    tmp_path: Path,
) -> None:
    (tmp_path / "q.txt").write_text("".join(f"Question {n}?\n" for n in range(30)))
    server = AssistantsServer(held=threading.Event())
    server.fates = {"Question 0?": ["failed:server_error"] * 9}
    command = [*PROGRAM, "q.txt", "-o", "a.jsonl", "--model", "m", "--in-flight", "4"]
    with server, closing(started(command, tmp_path, server)) as terminal:
        terminal.wait_for("4 in flight")
        server.stop()
        terminal.wait_for("waiting")
        server.start()
        assert server.held is not None
        server.held.set()
        terminal.wait_for("/30")
        wait_until(lambda: len(server.runs) > 8, 60, "further questions")
        server.held.clear()
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait_for("The same command goes on from here.")
        assert terminal.process.wait(30) == 130
        server.held.set()
        before = read(tmp_path / "a.jsonl")
        assert before
    again = [*command, "--retries", "0", "--in-flight", "16"]
    with server, closing(started(again, tmp_path, server)) as terminal:
        terminal.wait_for("30 of 30 answered")
        assert terminal.process.wait(30) == 1
    answers = read(tmp_path / "a.jsonl")
    assert answers[: len(before)] == before
    assert sorted(line["line"] for line in answers) == list(range(1, 31))


def started(command: list[str], directory: Path, server: AssistantsServer) -> Terminal:
    return Terminal(command, cwd=directory, env=environment(server.base_url, server.key))
