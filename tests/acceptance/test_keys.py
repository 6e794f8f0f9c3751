"""A key is revoked while its stream runs and its runs wait, before two API processes."""

import threading
import time

import pytest
from openai import AuthenticationError, OpenAI

from shared.db import Database
from shared.store import callers
from tests.acceptance.conftest import Stack, wait_until
from tests.model_server import ModelServer, Reply, pieces, say
from tests.model_server import chunk as piece


def is_refused(client: OpenAI) -> bool:
    try:
        client.beta.assistants.list(limit=1)
    except AuthenticationError:
        return True
    return False


def a_gated_answer(gate: threading.Event) -> Reply:
    """Its second half comes when the gate opens."""
    said = piece({"content": "a"}), piece({"content": "b"})
    return pieces(*said, piece({}, "stop"), "[DONE]", until=gate)


def revoke(database: Database, secret: str) -> str:
    """The secret of another key of the same project."""
    with database.transaction() as tx:
        key = callers.find(tx, secret)
        assert key is not None
        callers.revoke(tx, key.id)
        return callers.create(tx, "next", project_id=key.project_id)[1]


@pytest.mark.timeout(120)
def test_a_revoked_key_is_refused_everywhere_and_what_it_began_is_ended(
    stack: Stack, database: Database, model_server: ModelServer
) -> None:
    for _ in range(2):
        stack.start_api()
    stack.start_worker(TREADLE_CONCURRENCY="1")
    clients = [stack.client(number) for number in range(2)]
    assistant = clients[0].beta.assistants.create(model="m", instructions="Be brief.").id
    threads = [client.beta.threads.create().id for client in clients]
    gate = threading.Event()
    model_server.script(a_gated_answer(gate), say("c"))
    told: list[str] = []
    with clients[0].beta.threads.runs.create(
        threads[0], assistant_id=assistant, stream=True
    ) as stream:
        reading = threading.Thread(target=lambda: told.extend(event.event for event in stream))
        reading.start()
        wait_until(lambda: "thread.message.delta" in told, 20, "the stream's first piece")
        queued = clients[1].beta.threads.runs.create(threads[1], assistant_id=assistant)
        successor = stack.client(1).with_options(api_key=revoke(database, stack.secret))
        began = time.monotonic()
        wait_until(lambda: all(map(is_refused, clients)), 30, "the key to be refused")
        assert time.monotonic() - began < 30
        gate.set()
        reading.join(30)
    assert told[-1] == "thread.run.completed"
    ended = successor.beta.threads.runs.poll(queued.id, thread_id=threads[1])
    assert ended.status == "completed"
