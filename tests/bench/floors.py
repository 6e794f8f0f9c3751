"""What the parts of a run cost by themselves: the model call, the SQL, a Celery task, a request. No
design that has these parts is cheaper than their sum. One after the other, each as fast as it
goes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import openai
import psycopg
import redis
from psycopg import sql
from psycopg.conninfo import make_conninfo

from api import operations
from api.run_requests import RunRequest
from shared import queue
from shared.db import CONNECT, Transaction
from shared.ids import new_id
from shared.run_state import RunStatus
from shared.schema import migrate
from shared.store import callers, claims, messages, runs, workers
from shared.store.lanes import Turn
from shared.store.messages import NewAnswer, NewMessage, text_part
from shared.store.pages import PageRequest
from shared.store.run_steps import NewStep
from tests.acceptance.conftest import ROOT, wait_until
from tests.bench import cpu
from tests.bench.noop import TASK, app
from tests.bench.stage import Stage

Figures = dict[str, float]

_CALLS = 500
_TASKS = 3000
_QUESTION = NewMessage(role="user", content=[text_part("Why?")], attachments=[], metadata={})


def model_call(stage: Stage) -> Figures:
    """The model server asked by the openai client, by nobody else and for nobody."""
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{stage.model_port}/v1", api_key="none")

    def call() -> None:
        client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "Why?"}])

    return _each(stage, call)


def statements(stage: Stage) -> Figures:
    """All that is said to PostgreSQL for a run, by one session, in a database of its own: no worker
    looks there."""
    with psycopg.connect(_another(stage), **CONNECT) as connection:
        tx = Transaction(connection)
        project_id = callers.create(tx, "floor")[0].project_id
        settings = {"model": "echo", "instructions": None, "tools": [], "tool_resources": {}}
        assistant = operations.create_assistant(tx, project_id, {**settings, "metadata": {}})
        worker_id = workers.register(tx)
        return _each(stage, lambda: _run(tx, project_id, assistant.id, worker_id))


def _another(stage: Stage) -> str:
    name = f"floor_{time.time_ns()}"
    with psycopg.connect(stage.settings.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = make_conninfo(stage.settings.database_url, dbname=name)
    migrate(url)
    return url


def task(stage: Stage) -> Figures:
    """A Celery task that does nothing: sent, and heard by a worker with Treadle's settings."""
    queue.configure(stage.settings)
    app.conf.broker_url = queue.celery.conf.broker_url
    waiting = redis.Redis.from_url(stage.settings.redis_url)
    with _worker(app.conf.broker_url) as worker:
        groups = {"worker": [worker.pid]}
        _send(100, waiting)
        before, began = cpu.milliseconds(groups), time.perf_counter()
        _send(_TASKS, waiting)
        seconds = time.perf_counter() - began
        used = cpu.milliseconds(groups)
    return {
        "tasks/s": _TASKS / seconds,
        "CPU ms to send": (used["load"] - before["load"]) / _TASKS,
        "CPU ms to hear": (used["worker"] - before["worker"]) / _TASKS,
    }


def _each(stage: Stage, act: Callable[[], object]) -> Figures:
    for _ in range(20):
        act()
    before, began = cpu.milliseconds(stage.groups), time.perf_counter()
    for _ in range(_CALLS):
        act()
    seconds = time.perf_counter() - began
    used = cpu.milliseconds(stage.groups)
    return {
        "times/s": _CALLS / seconds,
        "CPU ms": (used["load"] - before["load"]) / _CALLS,
        "CPU ms postgresql": (used["postgresql"] - before["postgresql"]) / _CALLS,
    }


def _run(tx: Transaction, project_id: str, assistant_id: str, worker_id: str) -> None:
    thread = operations.create_thread(
        tx, project_id, messages=[_QUESTION], tool_resources={}, metadata={}
    )
    request = RunRequest(assistant_id=assistant_id)
    started = operations.start_run(tx, project_id, thread.id, request, 600)
    runs.get(tx, project_id, thread.id, started.id)
    (run,) = claims.claim(tx, worker_id, Turn())
    run.history()
    answer = NewAnswer(id=new_id("msg"), created_at=time.time(), content=[text_part("So.")])
    step = NewStep(
        id=new_id("step"),
        created_at=time.time(),
        type="message_creation",
        status="completed",
        details={"type": "message_creation", "message_creation": {"message_id": answer.id}},
        usage={},
    )
    claims.finish_saying(tx, run, RunStatus.COMPLETED, {}, answer, step)
    runs.get(tx, project_id, thread.id, run.id)
    messages.list_page(tx, project_id, thread.id, PageRequest(), run.id)


@contextmanager
def _worker(broker_url: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "celery", "--quiet", "--app", "tests.bench.noop", "worker"]
    command += ["--pool", "threads", "--concurrency", "1"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    environment = {**os.environ, "CELERY_BROKER_URL": broker_url}
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=nowhere, stderr=nowhere
    ) as worker:
        try:
            yield worker
        finally:
            worker.terminate()


def _send(count: int, waiting: "redis.Redis") -> None:
    """Returns when the last has been taken."""
    with app.producer_or_acquire() as producer:
        for _ in range(count):
            app.send_task(
                TASK, producer=producer, retry=False, ignore_result=True, argsrepr="", kwargsrepr=""
            )
    wait_until(lambda: waiting.llen("noop") == 0, 60, "the tasks to be taken")
