"""The main job, through real processes and the official client."""

import asyncio

import pytest
from openai import AsyncOpenAI

from tests.acceptance.conftest import Stack
from tests.model_server import ModelServer


def test_a_question_is_answered(stack: Stack) -> None:
    stack.start_api()
    stack.start_worker()
    client = stack.client()
    assistant = client.beta.assistants.create(model="gpt-4o", instructions="Be brief.")
    run = client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Why?"}]}
    )
    assert run.status == "completed"
    assert run.usage is not None
    assert run.usage.total_tokens == 18
    answer, question = client.beta.threads.messages.list(run.thread_id).data
    assert (question.role, answer.role) == ("user", "assistant")
    assert answer.content[0].text.value == "You said: Why?"  # type: ignore[union-attr]
    assert (answer.run_id, answer.assistant_id) == (run.id, assistant.id)
    (step,) = client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id).data
    assert step.step_details.message_creation.message_id == answer.id  # type: ignore[union-attr]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_200_clients_at_once_each_get_their_own_answer(
    stack: Stack, model_server: ModelServer, workers: int
) -> None:
    for _ in range(2):
        stack.start_api()
    for _ in range(workers):
        stack.start_worker()
    assistant = stack.client().beta.assistants.create(model="gpt-4o", instructions="Be brief.")

    async def ask(number: int) -> tuple[str, list[str]]:
        async with stack.async_client(number) as client:
            return await converse(client, assistant.id, f"Question {number}?")

    async def ask_all() -> list[tuple[str, list[str]]]:
        return await asyncio.gather(*(ask(number) for number in range(200)))

    for number, (status, said) in enumerate(asyncio.run(ask_all())):
        assert status == "completed"
        assert said == [f"Question {number}?", f"You said: Question {number}?"]
    assert model_server.asked() == 200


async def converse(client: AsyncOpenAI, assistant_id: str, question: str) -> tuple[str, list[str]]:
    """Thread, message, run, poll, list: the status and the texts, oldest first."""
    thread = await client.beta.threads.create()
    await client.beta.threads.messages.create(thread.id, role="user", content=question)
    run = await client.beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=assistant_id
    )
    listed = await client.beta.threads.messages.list(thread.id, order="asc")
    return run.status, [message.content[0].text.value for message in listed.data]  # type: ignore[union-attr]
