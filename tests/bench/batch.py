"""`python -m tests.bench.batch`: a batch of 50,000 lines through the official client, a worker killed in
the middle, and beside it a conversation: one client that asks, waits for its answer, and pauses.

The ratio is that of the conversation while the batch drains to the same one before it; 2 or less is
wanted. The model of the lines takes no time, so all that is measured runs on a full machine;
`--model echo-2000`, which takes two seconds as models do, leaves it room.
It ends with 1 if a line is missing, doubled or wrong, or the conversation was ever answered
wrong.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import openai

from tests.bench import clients, report
from tests.bench.clients import Asking, Told
from tests.bench.stage import Stage, stage

_WARM_SECONDS = 2.0
_POLL_SECONDS = 1.0
_PAUSE_SECONDS = 0.25
# When, by how much of the batch is done, a worker is killed.
_KILL_AT = 0.5
_ENDED = ("completed", "failed", "expired", "cancelled")
_COMPLETIONS = "/v1/chat/completions"
_RUNS = "/v1/threads/runs"


@dataclass
class Outcome:
    status: str
    lines: bytes
    killed: int
    seconds: float


@dataclass(frozen=True)
class Work:
    stage: Stage
    endpoint: str
    count: int
    model: str
    assistant_id: str

    def write_lines(self, to: Path) -> None:
        with to.open("w") as file:
            for number in range(self.count):
                line = {"custom_id": f"line-{number}", "method": "POST", "url": self.endpoint}
                file.write(json.dumps({**line, "body": self._body(number)}) + "\n")

    def _body(self, number: int) -> dict:
        messages = [{"role": "user", "content": _question(number)}]
        if self.endpoint == _RUNS:
            return {"assistant_id": self.assistant_id, "thread": {"messages": messages}}
        return {"model": self.model, "messages": messages}

    def drain(self, lines: Path) -> Outcome:
        """From the upload to the output file."""
        url = f"http://127.0.0.1:{self.stage.ports[0]}/v1"
        client = openai.OpenAI(base_url=url, api_key=self.stage.secrets[0])
        show, killed, began = report.Progress(), 0, time.monotonic()
        with lines.open("rb") as file:
            uploaded = client.files.create(file=file, purpose="batch", timeout=600)
        batch = client.batches.create(
            input_file_id=uploaded.id, endpoint=self.endpoint, completion_window="24h"
        )
        while batch.status not in _ENDED:
            time.sleep(_POLL_SECONDS)
            batch = client.batches.retrieve(batch.id)
            done = batch.request_counts.completed if batch.request_counts else 0
            seconds = time.monotonic() - began
            show(f"{batch.status}: {done:,}/{self.count:,}  {done / seconds:.0f}/s")
            if not killed and done >= _KILL_AT * self.count:
                self.stage.replace_worker()
                killed += 1
        seconds = time.monotonic() - began
        show.end()
        output = batch.output_file_id
        content = client.files.content(output).content if output else b""
        return Outcome(batch.status, content, killed, seconds)


def judged(work: Work, outcome: Outcome) -> list[str]:
    """What is wrong with the batch."""
    faults = [] if outcome.status == "completed" else [f"the batch is {outcome.status}"]
    faults += [] if outcome.killed else ["it was over before a worker was killed"]
    seen: dict[str, int] = {}
    wrong: list[str] = []
    read = _of_run if work.endpoint == _RUNS else _of_completion
    for line in map(json.loads, outcome.lines.splitlines()):
        custom_id = line["custom_id"]
        seen[custom_id] = seen.get(custom_id, 0) + 1
        question = _question(int(custom_id.removeprefix("line-")))
        if read(line["response"]["body"]) != f"You said: {question}":
            wrong.append(custom_id)
    if wrong:
        faults.append(f"{len(wrong)} wrong answers, as that of {wrong[0]}")
    if missing := {f"line-{number}" for number in range(work.count)} - seen.keys():
        faults.append(f"{len(missing)} lines are missing, as {min(missing)}")
    if doubled := [one for one, times in seen.items() if times > 1]:
        faults.append(f"{len(doubled)} lines are answered more than once, as {doubled[0]}")
    return faults


def _of_completion(body: dict) -> str:
    return body["choices"][0]["message"]["content"]


def _of_run(body: dict) -> str:
    return body["messages"][0]["content"][0]["text"]["value"]


def _question(number: int) -> str:
    return f"Line {number}, and why?"


async def _beside(asking: Asking, act: Callable[[], Outcome]) -> tuple[Outcome, Told]:
    told = Told()
    never = time.monotonic() + 86_400
    conversation = asyncio.create_task(
        clients.keep_asking(asking, "beside", never, told, _PAUSE_SECONDS)
    )
    outcome = await asyncio.to_thread(act)
    conversation.cancel()
    return outcome, told


def main(arguments: list[str]) -> int:
    parser = report.options("batch", __doc__)
    parser.add_argument("--lines", type=int, default=50_000)
    parser.add_argument("--endpoint", choices=(_COMPLETIONS, _RUNS), default=_COMPLETIONS)
    parser.add_argument("--model", default="echo", help="of the lines: echo-500 takes 500 ms")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--idle-seconds", type=float, default=60)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="treadle-batch-") as place, stage(asked.workers) as one:
        port, secret = one.ports[0], one.secrets[0]
        asking = Asking(port, secret, asyncio.run(clients.an_assistant(port, secret, "echo")))
        of_lines = asyncio.run(clients.an_assistant(port, secret, asked.model))
        asyncio.run(clients.alone(asking, _WARM_SECONDS))
        idle, until = Told(), time.monotonic() + asked.idle_seconds
        asyncio.run(clients.keep_asking(asking, "idle", until, idle, _PAUSE_SECONDS))
        work = Work(one, asked.endpoint, asked.lines, asked.model, of_lines)
        lines = Path(place) / "lines.jsonl"
        work.write_lines(lines)
        before = one.model_calls()
        outcome, told = asyncio.run(_beside(asking, lambda: work.drain(lines)))
        excess = one.model_calls() - before - asked.lines - len(told.took)
    figures = {
        "lines": asked.lines,
        "workers killed": outcome.killed,
        "model calls in excess": excess,
        "seconds": outcome.seconds,
        "lines/s": asked.lines / outcome.seconds,
        "conversations beside it": len(told.took),
        "beside p50 ms": told.median * 1000,
        "beside p95 ms": told.percentile(95) * 1000,
        "idle p50 ms": idle.median * 1000,
        "idle p95 ms": idle.percentile(95) * 1000,
        "beside / idle p50": told.median / idle.median,
        "beside / idle p95": told.percentile(95) / idle.percentile(95),
    }
    faults = [*judged(work, outcome), *told.errors, *idle.errors]
    # What the killed worker held, and the question that was being asked when the batch was over.
    if excess > outcome.killed * one.settings.concurrency + 1:
        faults.append("the model was asked more often than the kill explains")
    return report.write(figures, faults, asked.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
