"""`python -m tests.bench.proxy PATH/TO/litellm`: whole runs a second beside the calls a second of a proxy.

LiteLLM passes a call on and forgets it. Treadle keeps the question, queues the run, lets a worker take
it and keeps the answer, in four requests. Both have the same clients and the same model server, which
answers at once; LiteLLM has a process for each core, Treadle its two API processes and a worker. They
are played in turn, on the same machine, while the other waits. Every answer is held against its
question. LiteLLM is not installed by this project:
`python -m venv there; there/bin/pip install 'litellm[proxy]'`.
It ends with 1 if an answer is wrong.
"""

import asyncio
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx2
import orjson

from tests.acceptance.conftest import free_port, wait_until
from tests.bench import cpu, report
from tests.bench.clients import Told, watched
from tests.bench.http import Connection, RefusedError
from tests.bench.stage import Stage, stage
from tests.bench.workloads import Figures, crowd

_KEY = f"sk-{secrets.token_urlsafe(32)}"


@contextmanager
def litellm(command: str, processes: int, stage: Stage) -> Iterator[tuple[int, int]]:
    """The first of its processes, and its port."""
    port, config = free_port(), Path(stage.settings.blobs).parent / "litellm.json"
    passed_on = {
        "model": "openai/echo",
        "api_base": f"http://127.0.0.1:{stage.model_port}/v1",
        "api_key": "none",
    }
    config.write_bytes(
        orjson.dumps({"model_list": [{"model_name": "echo", "litellm_params": passed_on}]})
    )
    words = [command, "--config", str(config), "--num_workers", str(processes)]
    words += ["--host", "127.0.0.1", "--port", str(port)]
    # Its list of prices would else be looked for on the internet.
    environment = {
        **os.environ,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_MASTER_KEY": _KEY,
    }
    with (
        open(config.with_suffix(".log"), "wb") as log,
        subprocess.Popen(words, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            wait_until(lambda: _listens(port), 120, "LiteLLM")
            yield process.pid, port
        finally:
            process.terminate()


def calls(count: int, port: int, pid: int) -> Figures:
    """So many clients, each calling again as soon as it has its answer."""

    async def keep_on(number: int, until: float, told: Told) -> None:
        async with Connection(port, _KEY) as http:
            turn = 0
            while time.monotonic() < until:
                turn, began = turn + 1, time.perf_counter()
                await _call(f"{number}.{turn}?", http)
                told.took.append(time.perf_counter() - began)

    seen = asyncio.run(watched(keep_on, count, lambda: cpu.milliseconds({"proxy": [pid]})))
    return {
        "calls/s": len(seen.told.took) / seen.seconds,
        "p50 ms": seen.told.median * 1000,
        "CPU ms": seen.each("proxy"),
    }


async def _call(question: str, http: Connection) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": question}]}
    said = await http.call("POST", "/v1/chat/completions", body)
    if (text := said["choices"][0]["message"]["content"]) != f"You said: {question}":
        raise ValueError(f"{question}: {text}")


def _listens(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health/liveliness").is_success
    except httpx2.TransportError:
        return False


def main(arguments: list[str]) -> int:
    parser = report.options("proxy", __doc__)
    parser.add_argument("litellm", help="its command")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="of LiteLLM")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(arguments)
    runs: list[Figures] = []
    called: list[Figures] = []
    faults: list[str] = []
    with stage() as one, litellm(asked.litellm, asked.processes, one) as (pid, port):
        try:
            for _ in range(asked.rounds):
                runs.append(crowd(asked.clients, "echo")(one))
                called.append(calls(asked.clients, port, pid))
        except (ValueError, RefusedError) as error:
            faults.append(str(error))
    figures = {
        f"{name}: {key}": median(each[key] for each in found)
        for name, found, keys in (
            ("Treadle", runs, ("runs/s", "p50 ms", "CPU ms")),
            ("LiteLLM", called, ("calls/s", "p50 ms", "CPU ms")),
        )
        for key in keys
        if found
    }
    if not faults:
        figures["runs to calls"] = figures["Treadle: runs/s"] / figures["LiteLLM: calls/s"]
    return report.write(figures, faults, asked.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
