"""Streams through real processes, read by the official client's own handlers."""

import asyncio
import json
import signal
import threading
from typing import Any

import pytest
from openai import AssistantEventHandler, AsyncAssistantEventHandler, OpenAI
from openai.types.beta.threads import Text, TextDelta
from openai.types.beta.threads.runs import ToolCall

from tests.acceptance.conftest import Stack
from tests.acceptance.test_survival import end
from tests.model_server import ModelServer, chunk, pieces, say, stall

LOOK: Any = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}
THREAD: Any = {"messages": [{"role": "user", "content": "Why?"}]}


class Heard(AssistantEventHandler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.called: list[str] = []

    def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
        self.said.append(delta.value or "")

    def on_tool_call_done(self, tool_call: ToolCall) -> None:
        self.called.append(tool_call.id)


@pytest.fixture
def client(stack: Stack) -> OpenAI:
    stack.start_api()
    stack.start_worker()
    return stack.client()


def an_assistant(client: OpenAI, **options: Any) -> str:
    return client.beta.assistants.create(model="gpt-4o", instructions="Be brief.", **options).id


def test_the_stream_helper_hears_the_text_word_by_word(
    client: OpenAI, model_server: ModelServer
) -> None:
    model_server.script(say("Because it is so."))
    heard = Heard()
    with client.beta.threads.create_and_run_stream(
        assistant_id=an_assistant(client), thread=THREAD, event_handler=heard
    ) as stream:
        stream.until_done()
    assert heard.said == ["Because ", "it ", "is ", "so."]
    assert stream.get_final_run().status == "completed"
    (message,) = stream.get_final_messages()
    assert message.content[0].text.value == "Because it is so."  # type: ignore[union-attr]


def test_the_stream_helper_runs_a_tool_loop(client: OpenAI, model_server: ModelServer) -> None:
    call = {"id": "call_a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    model_server.script(say(None, tool_calls=[call]), say("I see."))
    heard = Heard()
    with client.beta.threads.create_and_run_stream(
        assistant_id=an_assistant(client, tools=[LOOK]), thread=THREAD, event_handler=heard
    ) as stream:
        stream.until_done()
    run = stream.get_final_run()
    assert (run.status, heard.called[:1]) == ("requires_action", ["call_a"])
    again = Heard()
    with client.beta.threads.runs.submit_tool_outputs_stream(
        run_id=run.id,
        thread_id=run.thread_id,
        tool_outputs=[{"tool_call_id": "call_a", "output": "a tree"}],
        event_handler=again,
    ) as stream:
        stream.until_done()
    assert "".join(again.said) == "I see."
    assert stream.get_final_run().status == "completed"


def test_the_asynchronous_stream_helper_does_the_same(stack: Stack, client: OpenAI) -> None:
    assistant_id = an_assistant(client)

    class AsyncHeard(AsyncAssistantEventHandler):
        said = ""

        async def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
            self.said += delta.value or ""

    async def listen() -> str:
        heard = AsyncHeard()
        async with (
            stack.async_client() as client,
            client.beta.threads.create_and_run_stream(
                assistant_id=assistant_id, thread=THREAD, event_handler=heard
            ) as stream,
        ):
            await stream.until_done()
        return heard.said

    assert asyncio.run(listen()) == "You said: Why?"


def test_a_stream_outlives_the_worker_that_fed_it(stack: Stack, model_server: ModelServer) -> None:
    stack.start_api()
    killed = stack.start_worker()
    client = stack.client()
    never = threading.Event()
    model_server.script(
        pieces(chunk({"content": "Once "}), chunk({"content": "more"}), until=never),
        say("Because it is so."),
    )

    def kill_and_replace() -> None:
        model_server.wait_until_asked()
        stack.start_worker()
        end(killed, signal.SIGKILL)

    replacing = threading.Thread(target=kill_and_replace)
    replacing.start()
    with client.beta.threads.create_and_run_stream(
        assistant_id=an_assistant(client), thread=THREAD
    ) as stream:
        stream.until_done()
    replacing.join()
    never.set()
    assert stream.get_final_run().status == "completed"
    assert stream.get_final_messages()[0].content[0].text.value == "Because it is so."  # type: ignore[union-attr]


def test_an_api_that_is_told_to_end_ends_its_streams_and_the_run_goes_on(
    stack: Stack, model_server: ModelServer
) -> None:
    stack.start_api()
    stack.start_api()
    stack.start_worker()
    gate = threading.Event()
    model_server.script(stall(gate))
    body = {"assistant_id": an_assistant(stack.client()), "thread": THREAD, "stream": True}
    with stack.http(timeout=30).stream("POST", "threads/runs", json=body) as answer:
        lines = answer.iter_lines()
        while "thread.run.in_progress" not in next(lines):
            continue
        run = json.loads(next(lines).removeprefix("data: "))
        stack.running[0].send_signal(signal.SIGTERM)
        rest = list(lines)
    assert "event: error" in rest
    assert rest[-3:] == ["event: done", "data: [DONE]", ""]
    gate.set()
    ended = stack.client(1).beta.threads.runs.poll(run["id"], thread_id=run["thread_id"])
    assert ended.status == "completed"
    assert model_server.asked() == 1
