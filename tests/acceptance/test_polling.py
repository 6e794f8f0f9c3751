"""Polls that are held open until the run stops, from the official client's own poll helper."""

from tests.acceptance.conftest import Stack
from tests.model_server import ModelServer, after


def test_the_poll_helper_gets_a_slow_answer_with_at_most_two_gets(
    stack: Stack, model_server: ModelServer
) -> None:
    stack.start_api()
    stack.start_worker()
    gets: list[str] = []
    client = stack.client(event_hooks={"request": [lambda sent: gets.append(sent.method)]})
    assistant = client.beta.assistants.create(model="gpt-4o", instructions="Be brief.")
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Why?"}])
    model_server.script(after(2))
    gets.clear()
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.status == "completed"
    assert gets.count("GET") <= 2
