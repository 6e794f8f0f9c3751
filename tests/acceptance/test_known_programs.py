"""Programs as people have written them for the Assistants API, run against real processes."""

import asyncio
import time
from typing import Any

import pytest
from openai import NotFoundError, OpenAI

from tests.acceptance.conftest import Stack
from tests.model_server import ModelServer, after


@pytest.fixture
def client(stack: Stack) -> OpenAI:
    stack.start_api()
    stack.start_worker()
    return stack.client()


def test_create_thread_and_run_then_poll_with_growing_pauses_and_take_the_first_answer(
    stack: Stack, client: OpenAI, model_server: ModelServer
) -> None:
    """The go-openai way: plain HTTP, no poll helper, and every time a whole number."""
    assistant = client.beta.assistants.create(model="gpt-4-turbo-preview", instructions="Be kind.")
    model_server.script(after(0.5))
    http = stack.http()
    http.headers["OpenAI-Beta"] = "assistants=v2"
    body = {
        "assistant_id": assistant.id,
        "model": "gpt-4-turbo-preview",
        "thread": {"messages": [{"role": "user", "content": "Why?"}]},
    }
    run: dict[str, Any] = http.post("threads/runs", json=body).json()
    for attempt in range(1, 6):
        time.sleep(attempt)
        run = http.get(f"threads/{run['thread_id']}/runs/{run['id']}").json()
        if run["status"] == "completed":
            break
    listed = http.get(f"threads/{run['thread_id']}/messages").json()
    first = next(message for message in listed["data"] if message["role"] != "user")
    assert first["content"][0]["text"]["value"] == "You said: Why?"
    times = [value for name, value in {**run, **first}.items() if name.endswith("_at")]
    assert all(value is None or isinstance(value, int) for value in times)


def test_every_call_on_threads_and_messages_that_the_python_client_documents(
    client: OpenAI,
) -> None:
    threads = client.beta.threads
    thread = threads.create(
        messages=[{"role": "user", "content": "Hello!"}, {"role": "user", "content": "Well?"}],
        metadata={"user_id": "user-123", "session": "abc"},
    )
    assert threads.retrieve(thread.id).metadata == {"user_id": "user-123", "session": "abc"}
    assert threads.update(thread.id, metadata={"a": "b"}).metadata == {"a": "b"}
    message = threads.messages.create(
        thread.id,
        role="user",
        content=[
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        ],
        attachments=[{"file_id": "file-abc123", "tools": [{"type": "code_interpreter"}]}],
        metadata={"kind": "question"},
    )
    assert [part.type for part in message.content] == ["text", "image_url"]
    assert threads.messages.retrieve(message.id, thread_id=thread.id) == message
    updated = threads.messages.update(
        message.id, thread_id=thread.id, metadata={"modified": "true"}
    )
    assert updated.metadata == {"modified": "true"}
    ascending = list(threads.messages.list(thread.id, order="asc", limit=1))
    assert [one.id for one in ascending] == [
        one.id for one in reversed(list(threads.messages.list(thread.id, order="desc")))
    ]
    page = threads.messages.list(thread.id, limit=2)
    following = threads.messages.list(thread.id, limit=2, after=page.data[-1].id)
    assert len(page.data) + len(following.data) == 3
    assert threads.messages.delete(message.id, thread_id=thread.id).deleted
    assert len(list(threads.messages.list(thread.id))) == 2
    assert threads.delete(thread.id).deleted
    with pytest.raises(NotFoundError):
        threads.retrieve(thread.id)


def test_the_complete_example_with_its_own_loop(client: OpenAI) -> None:
    assistant = client.beta.assistants.create(
        name="Math Tutor", model="gpt-4", instructions="You help with math problems."
    )
    thread = client.beta.threads.create()
    client.beta.threads.messages.create(thread.id, role="user", content="Solve 3x + 11 = 14.")
    run = client.beta.threads.runs.create(thread_id=thread.id, assistant_id=assistant.id)
    while run.status not in ("completed", "failed"):
        time.sleep(0.1)
        run = client.beta.threads.runs.retrieve(thread_id=thread.id, run_id=run.id)
    answer, question = client.beta.threads.messages.list(thread.id)
    assert (question.role, answer.role) == ("user", "assistant")
    assert list(client.beta.threads.messages.list(thread.id, run_id=run.id)) == [answer]


def test_create_and_run_poll_with_all_its_arguments(client: OpenAI) -> None:
    assistant = client.beta.assistants.create(model="gpt-4o", instructions="Be brief.")
    run = client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id,
        instructions="Be long.",
        max_completion_tokens=500,
        max_prompt_tokens=1000,
        metadata={"a": "b"},
        model="gpt-4o-mini",
        parallel_tool_calls=False,
        response_format={"type": "json_object"},
        temperature=0.2,
        thread={"messages": [{"role": "user", "content": "Explain quantum computing"}]},
        tool_choice="auto",
        tools=[],
        top_p=0.9,
        truncation_strategy={"type": "auto"},
        poll_interval_ms=500,
    )
    assert run.status == "completed"
    assert client.beta.threads.messages.list(run.thread_id).data[0].run_id == run.id


def test_the_asynchronous_client_does_the_same(stack: Stack, client: OpenAI) -> None:
    assistant = client.beta.assistants.create(model="gpt-4o", instructions="Be brief.")

    async def converse() -> list[str]:
        async with stack.async_client() as client:
            thread = await client.beta.threads.create()
            await client.beta.threads.messages.create(thread.id, role="user", content="Why?")
            await client.beta.threads.runs.create_and_poll(
                thread_id=thread.id, assistant_id=assistant.id
            )
            return [message.role async for message in client.beta.threads.messages.list(thread.id)]

    assert asyncio.run(converse()) == ["assistant", "user"]
