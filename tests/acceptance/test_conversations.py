"""200 conversations of every kind at once, through two APIs and two workers: nobody hears another's
answer, and the model is asked exactly once for each turn."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from openai import AsyncAssistantEventHandler, AsyncOpenAI
from openai.types.beta.threads import Run, Text, TextDelta
from openai.types.beta.threads.runs import ToolCall

from shared.db import Database
from tests.acceptance.conftest import Stack
from tests.model_server import Handler, ModelServer, question_of, say

CONVERSATIONS = 200
CLIENTS = 8
LOOK: Any = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    },
}


def converse(handler: Handler, body: dict[str, Any]) -> None:
    """A model that goes by what it is told: a question that ends in `Look!` is answered after two
    calls in a first turn and one in a second, with what came of them."""
    question = question_of(body)
    name = question.partition(",")[0]
    outputs = {
        one["tool_call_id"]: one["content"] for one in body["messages"] if one["role"] == "tool"
    }
    if not question.endswith("Look!"):
        asked = sum(one["role"] == "user" for one in body["messages"])
        say(answer_to(question, asked))(handler, body)
    elif len(outputs) < 3:
        ids = [f"call_{name}_a", f"call_{name}_b"] if not outputs else [f"call_{name}_c"]
        say(None, tool_calls=[call(one) for one in ids], finish="tool_calls")(handler, body)
    else:
        say(report(outputs.items()))(handler, body)


def answer_to(question: str, number: int) -> str:
    return f"To «{question}», which is your question {number}, I say: it depends."


def report(outputs: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{id_} gave {output}" for id_, output in outputs)


def call(id_: str) -> dict[str, Any]:
    function = {"name": "look", "arguments": json.dumps({"at": f"the place of {id_}"})}
    return {"id": id_, "type": "function", "function": function}


def output_of(id_: str, arguments: str) -> dict[str, Any]:
    return {"tool_call_id": id_, "output": f"{json.loads(arguments)['at']}, seen by {id_}"}


def calls_of(run: Run) -> list[tuple[str, str]]:
    assert run.status == "requires_action", run
    assert run.required_action is not None
    calls = run.required_action.submit_tool_outputs.tool_calls
    return [(one.id, one.function.arguments) for one in calls]


@dataclass
class Conversation:
    name: str
    client: AsyncOpenAI
    assistant_id: str
    thread_id: str = ""
    run: Run | None = None
    calls: list[str] = field(default_factory=list)  # their ids, as they came
    said: list[str] = field(default_factory=list)  # questions and answers, as they should be listed

    async def ask(self, question: str) -> None:
        question = f"{self.name}, {question}"
        if not self.thread_id:
            self.thread_id = (await self.client.beta.threads.create()).id
        await self.client.beta.threads.messages.create(
            self.thread_id, role="user", content=question
        )
        self.said.append(question)

    async def poll(self) -> Run:
        return await self.client.beta.threads.runs.create_and_poll(
            thread_id=self.thread_id, assistant_id=self.assistant_id
        )

    async def stream(self) -> "Heard":
        heard = Heard()
        async with self.client.beta.threads.runs.stream(
            thread_id=self.thread_id, assistant_id=self.assistant_id, event_handler=heard
        ) as streamed:
            await streamed.until_done()
        return heard

    async def submit(self, run: Run, outputs: list[Any]) -> Run:
        return await self.client.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id, thread_id=self.thread_id, tool_outputs=outputs
        )

    async def submit_and_stream(self, run: Run, outputs: list[Any]) -> "Heard":
        heard = Heard()
        async with self.client.beta.threads.runs.submit_tool_outputs_stream(
            run_id=run.id, thread_id=self.thread_id, tool_outputs=outputs, event_handler=heard
        ) as streamed:
            await streamed.until_done()
        return heard


class Heard(AsyncAssistantEventHandler):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.called: dict[str, str] = {}  # arguments by id

    async def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
        self.text += delta.value or ""

    async def on_tool_call_done(self, tool_call: ToolCall) -> None:
        if tool_call.type == "function" and tool_call.function.output is None:
            self.called[tool_call.id] = tool_call.function.arguments

    async def run(self) -> Run:
        run = self.current_run
        assert run is not None
        return run

    async def answer(self) -> str:
        (message,) = await self.get_final_messages()
        (part,) = message.content
        assert part.type == "text"
        assert part.text.value == self.text
        return self.text


async def two_questions(talk: Conversation) -> None:
    for number in (1, 2):
        await talk.ask(f"what of {number}?")
        run = await talk.poll()
        assert run.status == "completed"
        talk.said.append(answer_to(talk.said[-1], number))


async def two_questions_streamed(talk: Conversation) -> None:
    for number in (1, 2):
        await talk.ask(f"what of {number}?")
        heard = await talk.stream()
        assert (await heard.run()).status == "completed"
        assert await heard.answer() == answer_to(talk.said[-1], number)
        talk.said.append(heard.text)


async def tools(talk: Conversation) -> None:
    await talk.ask("Look!")
    run = await talk.poll()
    reported: list[tuple[str, str]] = []
    for expected in (2, 1):
        calls = calls_of(run)
        assert len(calls) == expected
        outputs = [output_of(*one) for one in calls]
        reported += [(one["tool_call_id"], one["output"]) for one in outputs]
        # In another order than they were asked for.
        run = await talk.submit(run, outputs[::-1])
    assert run.status == "completed"
    talk.run, talk.calls = run, [id_ for id_, _ in reported]
    talk.said.append(report(reported))


async def tools_streamed(talk: Conversation) -> None:
    await talk.ask("Look!")
    heard = await talk.stream()
    reported: list[tuple[str, str]] = []
    for expected in (2, 1):
        run = await heard.run()
        calls = calls_of(run)
        assert len(calls) == expected
        assert heard.called == dict(calls)
        outputs = [output_of(*one) for one in calls]
        reported += [(one["tool_call_id"], one["output"]) for one in outputs]
        heard = await talk.submit_and_stream(run, outputs[::-1])
    run = await heard.run()
    assert run.status == "completed"
    talk.run, talk.calls = run, [id_ for id_, _ in reported]
    assert await heard.answer() == report(reported)
    talk.said.append(heard.text)


KINDS: list[Callable[[Conversation], Coroutine[Any, Any, None]]] = [
    two_questions,
    two_questions_streamed,
    tools,
    tools_streamed,
]


async def check(talk: Conversation) -> None:
    """What is stored is what was said, and each call once in its own step."""
    listed = await talk.client.beta.threads.messages.list(talk.thread_id, order="asc")
    assert [one.content[0].text.value for one in listed.data] == talk.said  # type: ignore[union-attr]
    if talk.run is None:
        return
    assert talk.calls == [f"call_{talk.name}_{letter}" for letter in "abc"]
    steps = await talk.client.beta.threads.runs.steps.list(
        talk.run.id, thread_id=talk.thread_id, order="asc"
    )
    assert [one.type for one in steps.data] == ["tool_calls", "tool_calls", "message_creation"]
    assert {one.status for one in steps.data} == {"completed"}
    called = [one for step in steps.data[:2] for one in step.step_details.tool_calls]  # type: ignore[union-attr]
    assert [one.id for one in called] == talk.calls
    assert report((one.id, one.function.output) for one in called) == talk.said[-1]


@pytest.mark.timeout(100)
def test_200_conversations_of_every_kind_at_once(
    stack: Stack, database: Database, model_server: ModelServer
) -> None:
    for _ in range(2):
        stack.start_api()
        stack.start_worker()
    model_server.always(converse)
    assistant = stack.client().beta.assistants.create(
        model="gpt-4o", instructions="Be brief.", tools=[LOOK]
    )

    async def hold_all() -> None:
        async with AsyncExitStack() as until_done:
            clients = [
                await until_done.enter_async_context(stack.async_client(number))
                for number in range(CLIENTS)
            ]
            talks = [
                Conversation(f"c{number}", clients[number // len(KINDS) % CLIENTS], assistant.id)
                for number in range(CONVERSATIONS)
            ]
            await asyncio.gather(
                *(KINDS[number % len(KINDS)](talk) for number, talk in enumerate(talks))
            )
            await asyncio.gather(*(check(talk) for talk in talks))

    asyncio.run(hold_all())
    each = CONVERSATIONS // len(KINDS)
    turns = Counter(question_of(body).rpartition(" ")[2] for body in model_server.requests)
    assert turns == {"1?": 2 * each, "2?": 2 * each, "Look!": 2 * each * 3}
    with database.autocommit() as tx:
        count = tx.value
        assert count("SELECT count(*) FROM runs WHERE status = 'completed'") == 6 * each
        assert count("SELECT count(*) FROM runs") == 6 * each
        assert count("SELECT count(*) FROM messages") == 12 * each
        assert count("SELECT count(*) FROM run_steps WHERE type = 'tool_calls'") == 4 * each
        assert count("SELECT count(*) FROM run_steps") == 10 * each
