"""An assistant that answers from files, as its users have it: the official client, real workers."""

import io
import signal
import threading
from typing import Any

from openai import OpenAI
from openai.types.beta import Assistant
from openai.types.vector_stores import VectorStoreFile

from tests.acceptance.conftest import Stack, wait_until
from tests.model_server import ModelServer, echo, say, stall

TEXT = "The loom of Anna has two treadles 🧵."
ANSWER = "🧵 Two【{turn}:0†loom.txt】, and no more【9:9†loom.txt】."
CONTENT: Any = "step_details.tool_calls[*].file_search.results[*].content"
SEARCH: Any = {
    "id": "call_s",
    "type": "function",
    "function": {"name": "file_search", "arguments": '{"query": "treadles"}'},
}


def searches() -> Any:
    return say(None, tool_calls=[SEARCH])


def judge(text: Any, file_id: str) -> None:
    (cited,) = text.annotations
    assert text.value[cited.start_index : cited.end_index] == cited.text
    assert cited.text.endswith(":0†loom.txt】")
    assert cited.file_citation.file_id == file_id


def a_file_and_its_assistant(client: OpenAI) -> tuple[VectorStoreFile, Assistant]:
    """The file is read already, and the assistant searches it."""
    store = client.vector_stores.create(name="notes")
    file = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("loom.txt", io.BytesIO(TEXT.encode()))
    )
    assistant = client.beta.assistants.create(
        model="gpt-4o",
        instructions="Be brief.",
        tools=[{"type": "file_search"}],
        tool_resources={"file_search": {"vector_store_ids": [store.id]}},
    )
    return file, assistant


def test_an_assistant_answers_from_a_file_and_cites_it_polled_and_streamed(
    stack: Stack, model_server: ModelServer
) -> None:
    stack.environment["TREADLE_EMBEDDING_MODEL"] = "minilm"
    stack.start_api()
    stack.start_worker()
    client = stack.client()
    file, assistant = a_file_and_its_assistant(client)
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "How many?"}])
    model_server.script(searches(), say(ANSWER.format(turn=1)))
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.status == "completed"
    content = client.beta.threads.messages.list(thread.id).data[0].content[0]
    assert content.type == "text"
    judge(content.text, file.id)

    client.beta.threads.messages.create(thread.id, role="user", content="Sure?")
    model_server.script(searches(), say(ANSWER.format(turn=3)))
    with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=assistant.id, include=[CONTENT]
    ) as stream:
        done = [event.data for event in stream if event.event == "thread.run.step.completed"]
        (message,) = stream.get_final_messages()
        assert stream.get_final_run().status == "completed"
    assert message.content[0].type == "text"
    judge(message.content[0].text, file.id)
    found: Any = done[0].step_details
    (result,) = found.tool_calls[0].file_search.results
    assert (result.file_id, result.content[0].text) == (file.id, TEXT)


def test_a_file_that_comes_with_its_question_is_waited_for(
    stack: Stack, model_server: ModelServer
) -> None:
    stack.start_api()
    stack.start_worker()
    client = stack.client()
    assistant = client.beta.assistants.create(
        model="gpt-4o", instructions="Be brief.", tools=[{"type": "file_search"}]
    )
    file = client.files.create(file=("loom.txt", TEXT.encode()), purpose="assistants")
    model_server.script(searches(), say(ANSWER.format(turn=1)))
    attached: Any = [{"file_id": file.id, "tools": [{"type": "file_search"}]}]
    run = client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": "?", "attachments": attached}]},
    )
    assert run.status == "completed"
    content = client.beta.threads.messages.list(run.thread_id).data[0].content[0]
    assert content.type == "text"
    judge(content.text, file.id)


def test_a_worker_killed_between_search_and_answer_neither_searches_nor_answers_twice(
    stack: Stack, model_server: ModelServer
) -> None:
    stack.environment["TREADLE_LEASE_SECONDS"] = "4"
    stack.start_api()
    killed = stack.start_worker()
    client = stack.client()
    _, assistant = a_file_and_its_assistant(client)
    let_go = threading.Event()
    model_server.script(searches(), stall(let_go, echo), say(ANSWER.format(turn=1)))
    run = client.beta.threads.create_and_run(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "How many?"}]}
    )
    model_server.wait_until_asked(2)
    before = client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id).data
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    stack.start_worker()
    wait_until(
        lambda: (
            client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id).status == "completed"
        ),
        50,
        "the run to be taken over",
    )
    let_go.set()
    steps = client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id, order="asc").data
    assert [step.type for step in steps] == ["tool_calls", "message_creation"]
    assert [step.id for step in before] == [steps[0].id]
    assert len(client.beta.threads.messages.list(run.thread_id).data) == 2
    assert model_server.asked() == 3


def test_a_model_that_never_calls_answers_from_files_where_the_search_comes_first(
    stack: Stack, model_server: ModelServer
) -> None:
    stack.environment["TREADLE_SEARCH_FIRST"] = "1"
    stack.start_api()
    stack.start_worker()
    client = stack.client()
    file, assistant = a_file_and_its_assistant(client)
    question: Any = {"role": "user", "content": "How many treadles has Anna's loom?"}
    thread = client.beta.threads.create(messages=[question])
    model_server.script(say(ANSWER.format(turn=1)))
    with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=assistant.id, include=[CONTENT]
    ) as stream:
        done = [event.data for event in stream if event.event == "thread.run.step.completed"]
        (message,) = stream.get_final_messages()
    assert message.content[0].type == "text"
    judge(message.content[0].text, file.id)
    assert [step.type for step in done] == ["tool_calls", "message_creation"]
    (request,) = model_server.requests
    assert "tools" not in request
    assert TEXT in request["messages"][-1]["content"]
    run = client.beta.threads.runs.list(thread.id).data[0]
    listed = client.beta.threads.runs.steps.list(
        run.id, thread_id=thread.id, order="asc", include=[CONTENT]
    )
    assert listed.data[0].step_details == done[0].step_details
