"""Clients that take nothing, leave, or send without end: they cost the others nothing, and what
they leave behind goes away."""

import contextlib
import json
import re
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import redis
from openai import APIStatusError, OpenAI

from shared.db import Database
from tests.acceptance.conftest import Stack, wait_until
from tests.model_server import Handler, ModelServer, Reply, chunk, framed, say, stall

IDLE_SECONDS = 2
MEGABYTE = 1024 * 1024


@pytest.fixture
def stack(stack: Stack) -> Stack:
    stack.environment["TREADLE_IDLE_SECONDS"] = str(IDLE_SECONDS)
    stack.start_api()
    return stack


@pytest.fixture
def client(stack: Stack) -> OpenAI:
    return stack.client()


def flood(pieces: int, piece: str) -> Reply:
    """A model that says a great deal as fast as it can."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin_events()
        for _ in range(pieces // 100):
            handler.wfile.write(framed(chunk({"content": piece})) * 100)
        handler.wfile.write(framed(chunk({}, "stop")) + framed("[DONE]"))

    return reply


@contextlib.contextmanager
def connected(stack: Stack, *, takes: int | None = None) -> Iterator[socket.socket]:
    """To the API; `takes` bounds what the kernel takes for a client that does not read."""
    address = urlsplit(stack.base_urls[0])
    with contextlib.closing(socket.socket()) as connection:
        if takes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, takes)
        connection.settimeout(20)
        connection.connect((address.hostname, address.port))
        yield connection


def send(connection: socket.socket, stack: Stack, path: str, body: bytes, **headers: str) -> None:
    lines = [f"POST {path} HTTP/1.1", "Host: treadle", f"Authorization: Bearer {stack.secret}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)


def begin_stream(connection: socket.socket, stack: Stack, assistant_id: str, question: str) -> None:
    thread = {"messages": [{"role": "user", "content": question}]}
    body = json.dumps({"assistant_id": assistant_id, "thread": thread, "stream": True}).encode()
    send(connection, stack, "/v1/threads/runs", body, Content_Length=str(len(body)))


def read_to_the_end(connection: socket.socket) -> bytes:
    read = b""
    while piece := connection.recv(MEGABYTE):
        read += piece
    return read


def read_until(connection: socket.socket, text: bytes) -> bytes:
    read = b""
    while text not in read:
        piece = connection.recv(65536)
        assert piece, f"{text!r} is not in {read!r}"
        read += piece
    return read


def an_assistant(client: OpenAI) -> str:
    return client.beta.assistants.create(model="gpt-4o", instructions="Be brief.").id


def ask(client: OpenAI, assistant_id: str, question: str) -> str:
    run = client.beta.threads.create_and_run_poll(
        assistant_id=assistant_id, thread={"messages": [{"role": "user", "content": question}]}
    )
    assert run.status == "completed"
    (answer, _) = client.beta.threads.messages.list(run.thread_id).data
    return answer.content[0].text.value  # type: ignore[union-attr]


def megabytes_of_the_api(stack: Stack) -> int:
    pids = ",".join(map(str, stack.processes()))
    listed = subprocess.run(["ps", "-o", "rss=", "-p", pids], capture_output=True, check=True)
    return sum(map(int, listed.stdout.split())) // 1024


def open_files_of_the_api(stack: Stack) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in stack.processes())


def streams_listened_for(redis_url: str) -> int:
    with redis.Redis.from_url(redis_url) as connection:
        return len(connection.pubsub_channels("treadle:run:*"))


@pytest.mark.timeout(120)
def test_a_client_that_never_reads_its_stream_costs_nobody_anything(
    stack: Stack, client: OpenAI, database: Database, model_server: ModelServer, redis_url: str
) -> None:
    """Its answer is far larger than what lies in the sockets' buffers."""
    stack.start_worker()
    assistant_id = an_assistant(client)
    pieces, piece = 40_000, "word " * 40
    model_server.when("Flood?", flood(pieces, piece))
    ask(client, assistant_id, "Before?")
    before = megabytes_of_the_api(stack)
    with connected(stack, takes=4096) as stuck:
        begin_stream(stuck, stack, assistant_id, "Flood?")
        model_server.wait_until_asked(1, "Flood?")

        def is_over() -> bool:
            assert ask(client, assistant_id, "Meanwhile?") == "You said: Meanwhile?"
            with database.autocommit() as tx:
                return bool(
                    tx.value("SELECT 1 FROM messages WHERE length(content::text) > 1000000")
                )

        wait_until(is_over, 50, "the flood to end")
        assert megabytes_of_the_api(stack) - before < 40
        wait_until(lambda: streams_listened_for(redis_url) == 0, 20, "the stream to be cut")
        assert b"[DONE]" not in read_to_the_end(stuck)
    with database.autocommit() as tx:
        assert set(tx.values("SELECT status FROM runs")) == {"completed"}
        longest = "SELECT max(length(content->0->'text'->>'value')) FROM messages"
        assert tx.value(longest) == pieces * len(piece)


@pytest.mark.timeout(120)
def test_300_streams_that_were_opened_and_left_leave_no_trace(
    stack: Stack, client: OpenAI, database: Database, model_server: ModelServer, redis_url: str
) -> None:
    stack.start_worker(TREADLE_CONCURRENCY="300")
    assistant_id = an_assistant(client)
    ask(client, assistant_id, "Before?")
    before = open_files_of_the_api(stack)
    gate = threading.Event()
    model_server.always(stall(gate))
    for number in range(300):
        with connected(stack) as left:
            begin_stream(left, stack, assistant_id, f"Question {number}?")
            if number % 3:
                read_until(left, b"thread.run.created")
            if number % 2:
                # A reset instead of an end.
                left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    model_server.wait_until_asked(301, seconds=40)
    gate.set()

    def is_over() -> bool:
        with database.autocommit() as tx:
            return tx.value("SELECT count(*) FROM runs WHERE status = 'completed'") == 301

    wait_until(is_over, 30, "the runs to end")
    wait_until(lambda: streams_listened_for(redis_url) == 0, 20, "the streams to end")
    # A few more to PostgreSQL.
    wait_until(lambda: open_files_of_the_api(stack) < before + 20, 20, "the connections to end")
    with database.autocommit() as tx:
        assert tx.value("SELECT count(*) FROM messages WHERE role = 'assistant'") == 301
    assert model_server.asked() == 301
    assert ask(client, assistant_id, "After?") == "You said: After?"


def test_a_client_that_has_said_all_it_will_say_hears_its_stream_to_the_end(
    stack: Stack, client: OpenAI, model_server: ModelServer
) -> None:
    """The half of its connection that it sends on is closed."""
    stack.start_worker()
    assistant_id = an_assistant(client)
    model_server.script(say("Because it is so."))
    with connected(stack) as half:
        begin_stream(half, stack, assistant_id, "Why?")
        half.shutdown(socket.SHUT_WR)
        heard = read_to_the_end(half)
    assert b"event: thread.run.completed\n" in heard
    assert heard.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("headers", "piece"),
    [
        ({"Content_Length": str(10**12)}, b" " * MEGABYTE),
        ({"Transfer_Encoding": "chunked"}, b"100000\r\n" + b" " * MEGABYTE + b"\r\n"),
    ],
    ids=["announced", "chunked"],
)
def test_a_body_without_end_is_refused_at_once_and_not_read(
    stack: Stack, headers: dict[str, str], piece: bytes
) -> None:
    with connected(stack) as endless:
        send(endless, stack, "/v1/threads", piece * 5, **headers)
        answer = read_until(endless, b'"code": "request_too_large"')
        assert answer.startswith(b"HTTP/1.1 413 ")
        taken = 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for taken in range(1000):
                endless.sendall(piece)
                if taken % 20 == 0:
                    assert httpx2.get(stack.base_urls[0].replace("/v1", "/healthz")).is_success
    assert taken < 200


@pytest.mark.parametrize("headers", [{"Content_Length": "100"}, {"Transfer_Encoding": "chunked"}])
def test_a_body_that_stops_coming_is_not_waited_for_without_end(
    stack: Stack, headers: dict[str, str]
) -> None:
    with connected(stack) as slow:
        send(slow, stack, "/v1/threads", b"9\r\n{", **headers)
        answer = read_to_the_end(slow)
    assert re.match(rb"HTTP/1.1 400 .*We could not parse the JSON body", answer, re.DOTALL)


def test_a_body_that_drips_is_not_waited_for_without_end(stack: Stack) -> None:
    with connected(stack) as slow:
        send(slow, stack, "/v1/threads", b"{", Content_Length="100")
        answer: list[bytes] = []
        reading = threading.Thread(target=lambda: answer.append(read_to_the_end(slow)))
        reading.start()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while reading.is_alive():
                slow.sendall(b" ")
                reading.join(IDLE_SECONDS / 4)
    assert re.match(rb"HTTP/1.1 408 .*The request body came too slowly", answer[0], re.DOTALL)


def test_a_client_that_takes_its_time_gets_all_of_its_answer(stack: Stack, client: OpenAI) -> None:
    """It is slower than what is waited for one that takes nothing."""
    thread = client.beta.threads.create()
    for _ in range(12):
        client.beta.threads.messages.create(thread.id, role="user", content="x" * 250_000)
    path = f"/v1/threads/{thread.id}/messages?limit=100"
    with connected(stack, takes=65536) as slow:
        slow.sendall(
            f"GET {path} HTTP/1.1\r\nHost: treadle\r\nConnection: close\r\n"
            f"Authorization: Bearer {stack.secret}\r\n\r\n".encode()
        )
        read = 0
        wait = threading.Event()
        while piece := slow.recv(MEGABYTE):
            read += len(piece)
            wait.wait(IDLE_SECONDS * 1.5 / 20 if read < 2 * MEGABYTE else 0)
    assert read > 12 * 250_000


def test_a_tool_output_of_10_megabytes_is_refused_or_taken_as_the_settings_say(
    stack: Stack, client: OpenAI, model_server: ModelServer
) -> None:
    stack.environment["TREADLE_BODY_BYTES"] = str(16 * MEGABYTE)
    stack.start_api()
    stack.start_worker()
    call = {"id": "call_a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    model_server.script(say(None, tool_calls=[call]), say("I see."))
    run = client.beta.threads.create_and_run_poll(
        assistant_id=an_assistant(client),
        thread={"messages": [{"role": "user", "content": "What is there?"}]},
    )
    assert run.status == "requires_action"
    output = "tree " * (2 * MEGABYTE)
    outputs = [{"tool_call_id": "call_a", "output": output}]
    with pytest.raises(APIStatusError) as caught:
        client.beta.threads.runs.submit_tool_outputs(
            run.id, thread_id=run.thread_id, tool_outputs=outputs
        )
    assert (caught.value.status_code, caught.value.code) == (413, "request_too_large")
    # The same connection goes on.
    now = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    assert now.status == "requires_action"
    # An idle connection is ended soon here, which a client's own retry mends.
    with stack.client(1).with_options(max_retries=2) as elsewhere:
        ended = elsewhere.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id, thread_id=run.thread_id, tool_outputs=outputs
        )
    assert ended.status == "completed"
    assert model_server.requests[1]["messages"][-1]["content"] == output
