"""`python -m tests.bench.asking`: `treadle ask` on 100,000 questions. Spread over the work, the worker is
killed three times and a new one started, and the command itself is killed twice and said again.

Every question must be in the output once, with its own answer. To watch the bar, run it in a
terminal: the command draws there itself; elsewhere it tells a line every ten seconds.
It ends with 1 if an answer is missing, doubled or wrong, or the model was asked more than once more
for what was in flight at each kill.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.conftest import ROOT
from tests.bench import report
from tests.bench.stage import Stage, stage

# By how much of the work is done.
_WORKER_KILLS = (0.2, 0.5, 0.8)
_COMMAND_KILLS = (0.35, 0.65)
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Job:
    stage: Stage
    directory: Path
    count: int
    in_flight: int

    @property
    def output(self) -> Path:
        return self.directory / "answers.jsonl"

    def write_questions(self) -> None:
        with (self.directory / "questions.jsonl").open("w") as file:
            for number in range(self.count):
                one = {"custom_id": f"q{number}", "question": _question(number)}
                file.write(json.dumps(one) + "\n")

    @contextmanager
    def command(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "cli.main", "ask", "questions.jsonl", "--model", "echo"]
        command += ["-o", self.output.name, "--in-flight", str(self.in_flight)]
        address = {
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.stage.ports[0]}/v1",
            "OPENAI_API_KEY": self.stage.secrets[0],
        }
        environment = {**os.environ, **address, "PYTHONPATH": str(ROOT)}
        silent = subprocess.DEVNULL
        with subprocess.Popen(
            command, cwd=self.directory, env=environment, stdout=silent
        ) as process:
            try:
                yield process
            finally:
                process.kill()


class Answers:
    """How many whole lines an output has that grows; a new command may cut off its torn end."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._read = 0
        self._count = 0

    def count(self) -> int:
        if self._output.exists():
            with self._output.open("rb") as file:
                file.seek(self._read)
                whole, found, _ = file.read().rpartition(b"\n")
                self._read += len(whole) + len(found)
                self._count += whole.count(b"\n") + len(found)
        return self._count


class Trouble(threading.Thread):
    """Kills workers when so much is done. Beside the command, whatever becomes of that."""

    def __init__(self, job: Job) -> None:
        super().__init__(daemon=True)
        self._job = job
        self.killed = 0
        self.over = threading.Event()

    def run(self) -> None:
        answers = Answers(self._job.output)
        for share in _WORKER_KILLS:
            while answers.count() < share * self._job.count:
                if self.over.wait(_LOOK_SECONDS):
                    return
            self._job.stage.replace_worker()
            self.killed += 1


def ask(job: Job) -> tuple[int, int]:
    """Until the command ends by itself: how often it was killed before, and its status."""
    answers, killed = Answers(job.output), 0
    for share in _COMMAND_KILLS:
        with job.command() as command:
            while answers.count() < share * job.count and command.poll() is None:
                time.sleep(_LOOK_SECONDS)
            killed += command.poll() is None
    with job.command() as command:
        return killed, command.wait()


def judged(job: Job) -> list[str]:
    """What is wrong with the output."""
    seen, wrong = Counter[str](), list[str]()
    with job.output.open("rb") as file:
        for line in file:
            one = json.loads(line)
            seen[one["custom_id"]] += 1
            question = _question(int(one["custom_id"].removeprefix("q")))
            if one["status"] != "completed" or one["answer"] != f"You said: {question}":
                wrong.append(f"{one['custom_id']}: {one['status']} {one['answer']!r}")
    asked = {f"q{number}" for number in range(job.count)}
    faults = [f"{len(wrong)} wrong answers, as {wrong[0]}"] if wrong else []
    if missing := asked - seen.keys():
        faults.append(f"{len(missing)} questions have no answer, as {min(missing)}")
    if doubled := [one for one, times in seen.items() if times > 1]:
        faults.append(f"{len(doubled)} questions are answered more than once, as {doubled[0]}")
    return faults


def _question(number: int) -> str:
    return f"Question {number}, and why?"


def main(arguments: list[str]) -> int:
    parser = report.options("asking", __doc__)
    parser.add_argument("--questions", type=int, default=100_000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="treadle-ask-") as place, stage(asked.workers) as there:
        job = Job(there, Path(place), asked.questions, asked.in_flight)
        job.write_questions()
        trouble = Trouble(job)
        trouble.start()
        began = time.monotonic()
        command_kills, status = ask(job)
        seconds = time.monotonic() - began
        trouble.over.set()
        trouble.join()
        excess = there.model_calls() - job.count
        runs, faults = there.stored()["runs"], judged(job)
    if status:
        faults.append(f"the last command ended with {status}")
    if (trouble.killed, command_kills) != (len(_WORKER_KILLS), len(_COMMAND_KILLS)):
        faults.append("too few questions for all the kills")
    if runs != job.count:
        faults.append(f"{runs} runs for {job.count} questions")
    if excess > trouble.killed * job.in_flight:
        faults.append("the model was asked more often than the kills explain")
    figures = {
        "questions": job.count,
        "workers killed": trouble.killed,
        "commands killed": command_kills,
        "model calls in excess": excess,
        "seconds": seconds,
        "questions/s": job.count / seconds,
    }
    return report.write(figures, faults, asked.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
