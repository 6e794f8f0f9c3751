"""What programs do with openai-python's event handlers: runs with any release that has them.

`program.py talk|talk_async|fail|page`; prints what it hears, one JSON value a line.
"""

import asyncio
import json
import sys

import openai
from openai import (
    AssistantEventHandler,
    AsyncAssistantEventHandler,
    AsyncOpenAI,
    BadRequestError,
    OpenAI,
)

WEATHER = {"Rome": "sunny", "Oslo": "snow"}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
ASSISTANT = {"model": "gpt-4-turbo", "instructions": "Be brief.", "tools": [TOOL]}


def tell(*facts):
    print(json.dumps(facts), flush=True)


def outputs(run):
    calls = run.required_action.submit_tool_outputs.tool_calls
    return [
        {"tool_call_id": call.id, "output": WEATHER[json.loads(call.function.arguments)["city"]]}
        for call in calls
    ]


def text_of(message):
    return message.content[0].text.value


def stream_of(runs):
    """`stream` was `create_and_stream` once."""
    return getattr(runs, "stream", None) or runs.create_and_stream


class Listener(AssistantEventHandler):
    """Answers tool calls inside its own stream, as the guide's example does."""

    def __init__(self, client):
        super().__init__()
        self.client = client

    def on_event(self, event):
        if event.event == "thread.run.requires_action":
            with self.client.beta.threads.runs.submit_tool_outputs_stream(
                run_id=event.data.id,
                thread_id=event.data.thread_id,
                tool_outputs=outputs(event.data),
                event_handler=Listener(self.client),
            ) as stream:
                stream.until_done()

    def on_tool_call_created(self, tool_call):
        tell("call", tool_call.function.name)
        tell("call delta", tool_call.function.arguments)

    def on_tool_call_delta(self, delta, snapshot):
        tell("call delta", delta.function.arguments)

    def on_tool_call_done(self, tool_call):
        tell("call done", tool_call.function.arguments, tool_call.function.output)

    def on_text_created(self, text):
        tell("text")

    def on_text_delta(self, delta, snapshot):
        tell("text delta", delta.value, snapshot.value)

    def on_text_done(self, text):
        tell("text done", text.value)

    def on_message_done(self, message):
        tell("message done", message.role, message.status, text_of(message))

    def on_run_step_done(self, run_step):
        tell("step done", run_step.type, run_step.status)

    def on_exception(self, exception):
        tell("exception", str(exception))

    def on_end(self):
        tell("end", self.current_run.status)


def talk():
    with OpenAI() as client:
        threads = client.beta.threads
        assistant = client.beta.assistants.create(**ASSISTANT)
        thread = threads.create()
        threads.messages.create(thread.id, role="user", content="Rome or Oslo?")
        stream_runs = stream_of(threads.runs)
        with stream_runs(
            thread_id=thread.id, assistant_id=assistant.id, event_handler=Listener(client)
        ) as stream:
            stream.until_done()
        tell("run", stream.get_final_run().status)
        threads.messages.create(thread.id, role="user", content="Really?")
        with stream_runs(thread_id=thread.id, assistant_id=assistant.id) as stream:
            tell("texts", "".join(stream.text_deltas))
        tell("final run", stream.get_final_run().status, stream.get_final_run().usage.total_tokens)
        tell("final messages", [text_of(one) for one in stream.get_final_messages()])
        tell("final steps", [one.type for one in stream.get_final_run_steps()])
        tell("thread", [[one.role, text_of(one)] for one in threads.messages.list(thread.id)])


class AsyncListener(AsyncAssistantEventHandler):
    def __init__(self, client):
        super().__init__()
        self.client = client

    async def on_event(self, event):
        if event.event == "thread.run.requires_action":
            async with self.client.beta.threads.runs.submit_tool_outputs_stream(
                run_id=event.data.id,
                thread_id=event.data.thread_id,
                tool_outputs=outputs(event.data),
                event_handler=AsyncListener(self.client),
            ) as stream:
                await stream.until_done()

    async def on_tool_call_created(self, tool_call):
        tell("call", tool_call.function.name)
        tell("call delta", tool_call.function.arguments)

    async def on_tool_call_delta(self, delta, snapshot):
        tell("call delta", delta.function.arguments)

    async def on_tool_call_done(self, tool_call):
        tell("call done", tool_call.function.arguments, tool_call.function.output)

    async def on_text_created(self, text):
        tell("text")

    async def on_text_delta(self, delta, snapshot):
        tell("text delta", delta.value, snapshot.value)

    async def on_text_done(self, text):
        tell("text done", text.value)

    async def on_message_done(self, message):
        tell("message done", message.role, message.status, text_of(message))

    async def on_run_step_done(self, run_step):
        tell("step done", run_step.type, run_step.status)

    async def on_exception(self, exception):
        tell("exception", str(exception))

    async def on_end(self):
        tell("end", self.current_run.status)


async def talk_async():
    async with AsyncOpenAI() as client:
        threads = client.beta.threads
        assistant = await client.beta.assistants.create(**ASSISTANT)
        thread = await threads.create()
        await threads.messages.create(thread.id, role="user", content="Rome or Oslo?")
        stream_runs = stream_of(threads.runs)
        async with stream_runs(
            thread_id=thread.id, assistant_id=assistant.id, event_handler=AsyncListener(client)
        ) as stream:
            await stream.until_done()
        tell("run", (await stream.get_final_run()).status)
        await threads.messages.create(thread.id, role="user", content="Really?")
        async with stream_runs(thread_id=thread.id, assistant_id=assistant.id) as stream:
            tell("texts", "".join([text async for text in stream.text_deltas]))
        final = await stream.get_final_run()
        tell("final run", final.status, final.usage.total_tokens)
        tell("final messages", [text_of(one) for one in await stream.get_final_messages()])
        tell("final steps", [one.type for one in await stream.get_final_run_steps()])
        said = [[one.role, text_of(one)] async for one in threads.messages.list(thread.id)]
        tell("thread", said)


def fail():
    with OpenAI() as client:
        threads = client.beta.threads
        assistant = client.beta.assistants.create(**ASSISTANT)
        with threads.create_and_run_stream(
            assistant_id=assistant.id,
            thread={"messages": [{"role": "user", "content": "Why?"}]},
            event_handler=Listener(client),
        ) as stream:
            stream.until_done()
        run = stream.get_final_run()
        tell("run", run.status, run.last_error.code, run.last_error.message)
        try:
            stream.get_final_messages()
        except RuntimeError as error:
            tell("no messages", str(error))
        try:
            threads.runs.submit_tool_outputs(run.id, thread_id=run.thread_id, tool_outputs=[])
        except BadRequestError as error:
            tell("refused", error.status_code, error.body["message"])


def page():
    with OpenAI() as client:
        messages = client.beta.threads.messages
        said = [{"role": "user", "content": str(number)} for number in range(45)]
        thread = client.beta.threads.create(messages=said)
        tell("newest first", [int(text_of(one)) for one in messages.list(thread.id)])
        oldest_first = messages.list(thread.id, order="asc", limit=7)
        tell("oldest first", [int(text_of(one)) for one in oldest_first])
        asyncio.run(page_async(thread.id))


async def page_async(thread_id):
    async with AsyncOpenAI() as client:
        messages = client.beta.threads.messages.list(thread_id)
        tell("newest first", [int(text_of(one)) async for one in messages])


if __name__ == "__main__":
    tell("openai", openai.__version__)
    {
        "talk": talk,
        "talk_async": lambda: asyncio.run(talk_async()),
        "fail": fail,
        "page": page,
    }[sys.argv[1]]()
