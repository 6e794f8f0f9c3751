"""Functions: the model calls them, the caller runs them, submit_tool_outputs goes on."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from openai import BadRequestError, OpenAI
from openai.types.beta.threads import Run

from shared.db import Database
from shared.run_state import RunStatus
from tests.conftest import Caller
from tests.factories import a_run
from tests.model_server import ModelServer, say
from worker.bell import Bell

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": False,
    },
}


def call(id_: str, city: str) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": f'{{"city": "{city}"}}'}
    return {"id": id_, "type": "function", "function": function}


def ask(client: OpenAI, **options: Any) -> Run:
    assistant = client.beta.assistants.create(
        model="gpt-4o", instructions="Be brief.", tools=[WEATHER]
    )
    return client.beta.threads.create_and_run(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": "Weather?"}]},
        **options,
    )


def now(client: OpenAI, run: Run) -> Run:
    return client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)


def test_a_function_call_waits_for_its_output_and_the_answer_follows(
    client: OpenAI, worker: Bell, model_server: ModelServer
) -> None:
    run = ask(client)
    assert run.tools[0].function.strict is False  # type: ignore[union-attr]
    model_server.script(
        say(None, tool_calls=[call("call_a", "Paris"), call("call_b", "Rome")]), say("Sun.")
    )
    worker.answer()
    waiting = now(client, run)
    assert (waiting.status, waiting.usage) == ("requires_action", None)
    assert waiting.required_action is not None
    assert waiting.required_action.model_dump() == {
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {"tool_calls": [call("call_a", "Paris"), call("call_b", "Rome")]},
    }
    (step,) = client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id).data
    assert (step.status, step.type, step.usage) == ("in_progress", "tool_calls", None)
    queued = client.beta.threads.runs.submit_tool_outputs(
        run.id,
        thread_id=run.thread_id,
        tool_outputs=[
            {"tool_call_id": "call_b", "output": "rain"},
            {"tool_call_id": "call_a", "output": "sun"},
        ],
    )
    assert (queued.status, queued.required_action) == ("queued", None)
    assert queued.started_at == waiting.started_at
    worker.answer()
    ended = now(client, run)
    assert ended.status == "completed"
    assert ended.usage is not None
    assert ended.usage.total_tokens == 36
    message_step, tool_step = client.beta.threads.runs.steps.list(
        run.id, thread_id=run.thread_id
    ).data
    assert (tool_step.id, tool_step.status) == (step.id, "completed")
    outputs = [one.function.output for one in tool_step.step_details.tool_calls]  # type: ignore[union-attr]
    assert outputs == ["sun", "rain"]
    assert message_step.type == "message_creation"
    assert client.beta.threads.messages.list(run.thread_id).data[0].content[0].text.value == "Sun."  # type: ignore[union-attr]


def test_the_model_is_told_its_calls_and_their_outputs(
    client: OpenAI, worker: Bell, model_server: ModelServer
) -> None:
    run = ask(client, tool_choice="required", parallel_tool_calls=False)
    model_server.script(say("Let me see.", tool_calls=[call("call_a", "Paris")]), say("Sun."))
    worker.answer()
    client.beta.threads.runs.submit_tool_outputs(
        run.id,
        thread_id=run.thread_id,
        tool_outputs=[{"tool_call_id": "call_a", "output": "sun"}],
    )
    worker.answer()
    first, second = model_server.requests
    assert first["tools"] == [
        {"type": "function", "function": {**WEATHER["function"], "strict": False}}
    ]
    assert (first["tool_choice"], first["parallel_tool_calls"]) == ("required", False)
    assert second["tool_choice"] == "auto"
    assert second["messages"][2:] == [
        {"role": "assistant", "content": "Let me see."},
        {"role": "assistant", "content": None, "tool_calls": [call("call_a", "Paris")]},
        {"role": "tool", "tool_call_id": "call_a", "content": "sun"},
    ]
    said = [m.content[0].text.value for m in client.beta.threads.messages.list(run.thread_id)]  # type: ignore[union-attr]
    assert said == ["Sun.", "Let me see.", "Weather?"]
    assert len(client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id).data) == 3


@pytest.mark.parametrize(
    "ids", [["call_a"], ["call_a", "call_b", "call_c"], ["call_a", "call_a"], [], ["call_x"]]
)
def test_all_outputs_come_in_one_request_or_none_is_taken(
    client: OpenAI,
    http: httpx2.Client,
    worker: Bell,
    model_server: ModelServer,
    ids: list[str],
) -> None:
    run = ask(client)
    model_server.script(say(None, tool_calls=[call("call_a", "Paris"), call("call_b", "Rome")]))
    worker.answer()
    answer = http.post(
        f"threads/{run.thread_id}/runs/{run.id}/submit_tool_outputs",
        json={"tool_outputs": [{"tool_call_id": one, "output": "sun"} for one in ids]},
    )
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": f"Expected tool outputs for call_ids ['call_a', 'call_b'], got {ids}",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert now(client, run).status == "requires_action"


@pytest.mark.parametrize("status", [one for one in RunStatus if one != "requires_action"])
def test_a_run_that_does_not_wait_takes_no_outputs(
    client: OpenAI, database: Database, caller: Caller, status: RunStatus
) -> None:
    run = a_run(database, caller.project_id, status=status)
    with pytest.raises(BadRequestError) as caught:
        client.beta.threads.runs.submit_tool_outputs(
            run.id,
            thread_id=run.thread_id,
            tool_outputs=[{"tool_call_id": "call_1", "output": "x"}],
        )
    assert (
        f'Runs in status \\"{status}\\" do not accept tool outputs.' in caught.value.response.text
    )


def test_of_outputs_submitted_at_once_one_wins(
    client: OpenAI, database: Database, caller: Caller, http: httpx2.Client
) -> None:
    run = a_run(database, caller.project_id, status=RunStatus.REQUIRES_ACTION)
    barrier = threading.Barrier(5)

    def submit(number: int) -> int:
        barrier.wait()
        outputs = [{"tool_call_id": "call_1", "output": str(number)}]
        url = f"threads/{run.thread_id}/runs/{run.id}/submit_tool_outputs"
        return http.post(url, json={"tool_outputs": outputs}).status_code

    with ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(submit, range(5))) == [200, 400, 400, 400, 400]


def test_outputs_after_the_runs_time_are_refused_even_before_the_sweep_came(
    client: OpenAI, database: Database, caller: Caller
) -> None:
    run = a_run(database, caller.project_id, status=RunStatus.REQUIRES_ACTION)
    with database.autocommit() as tx:
        tx.execute("UPDATE runs SET expires_at = now()")
    with pytest.raises(BadRequestError, match="expired"):
        client.beta.threads.runs.submit_tool_outputs(
            run.id,
            thread_id=run.thread_id,
            tool_outputs=[{"tool_call_id": "call_1", "output": "x"}],
        )


def test_strange_calls_get_a_legal_shape(
    client: OpenAI, worker: Bell, model_server: ModelServer
) -> None:
    run = ask(client)
    strange = [
        {"id": "call_a", "function": {"name": "get_weather", "arguments": '{"city": '}},
        {"id": "call_a", "function": {"name": "unknown", "arguments": {"a": 1}}},
        {"function": {"name": "get_weather", "arguments": None}},
    ]
    model_server.script(say(None, tool_calls=strange))
    worker.answer()
    waiting = now(client, run)
    assert waiting.required_action is not None
    calls = waiting.required_action.submit_tool_outputs.tool_calls
    assert [one.function.arguments for one in calls] == ['{"city": ', '{"a":1}', "{}"]
    assert len({one.id for one in calls}) == 3


def test_the_completion_limit_counts_over_all_turns(
    client: OpenAI, worker: Bell, model_server: ModelServer
) -> None:
    run = ask(client, max_completion_tokens=300)
    usage = {"prompt_tokens": 10, "completion_tokens": 300}
    model_server.script(
        say(None, tool_calls=[call("call_a", "Paris")], usage={**usage, "completion_tokens": 100}),
        say(None, tool_calls=[call("call_b", "Rome")], usage={**usage, "completion_tokens": 200}),
    )
    for id_ in ("call_a", "call_b"):
        worker.answer()
        client.beta.threads.runs.submit_tool_outputs(
            run.id,
            thread_id=run.thread_id,
            tool_outputs=[{"tool_call_id": id_, "output": "sun"}],
        )
    worker.answer()
    ended = now(client, run)
    assert ended.status == "incomplete"
    assert ended.incomplete_details is not None
    assert ended.incomplete_details.reason == "max_completion_tokens"
    assert [body["max_completion_tokens"] for body in model_server.requests] == [300, 200]


@pytest.mark.parametrize(
    ("body", "param", "code", "message"),
    [
        ({}, "tool_outputs", "missing_required_parameter", "Missing required parameter: 'tool_outputs'."),
        ({"tool_outputs": None}, "tool_outputs", "invalid_type", "Invalid type for 'tool_outputs': expected an array, but got null instead."),
        ({"tool_outputs": {}}, "tool_outputs", "invalid_type", "Invalid type for 'tool_outputs': expected an array, but got an object instead."),
        ({"tool_outputs": ["call_1"]}, "tool_outputs[0]", "invalid_type", "Invalid type for 'tool_outputs[0]': expected an object, but got a string instead."),
        ({"tool_outputs": [{"output": "x"}]}, "tool_outputs[0].tool_call_id", "missing_required_parameter", "Missing required parameter: 'tool_outputs[0].tool_call_id'."),
        ({"tool_outputs": [{"tool_call_id": None, "output": "x"}]}, "tool_outputs[0].tool_call_id", "invalid_type", "Invalid type for 'tool_outputs[0].tool_call_id': expected a string, but got null instead."),
        ({"tool_outputs": [{"tool_call_id": "call_1", "output": None}]}, "tool_outputs[0].output", "invalid_type", "Invalid type for 'tool_outputs[0].output': expected a string, but got null instead."),
        ({"tool_outputs": [{"tool_call_id": "call_1", "output": {"a": 1}}]}, "tool_outputs[0].output", "invalid_type", "Invalid type for 'tool_outputs[0].output': expected a string, but got an object instead."),
        ({"tool_outputs": [{"tool_call_id": "call_1", "output": 5}]}, "tool_outputs[0].output", "invalid_type", "Invalid type for 'tool_outputs[0].output': expected a string, but got an integer instead."),
        ({"tool_outputs": [{"tool_call_id": "call_1", "output": "a\0"}]}, "tool_outputs[0].output", "invalid_value", "Invalid 'tool_outputs[0].output': the character U+0000 is not allowed."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_outputs_that_are_none_are_refused_in_the_wires_words(
    http: httpx2.Client,
    database: Database,
    caller: Caller,
    body: dict[str, Any],
    param: str,
    code: str,
    message: str,
    stream: bool,
) -> None:
    run = a_run(database, caller.project_id, status=RunStatus.REQUIRES_ACTION)
    url = f"threads/{run.thread_id}/runs/{run.id}"
    answer = http.post(f"{url}/submit_tool_outputs", json={**body, "stream": stream})
    assert answer.status_code == 400
    kind = "invalid_request_error"
    assert answer.json()["error"] == {
        "message": message, "type": kind, "param": param, "code": code
    }  # fmt: skip
    assert http.get(url).json()["status"] == "requires_action"


def test_an_output_that_is_left_out_or_empty_reaches_the_model_as_nothing(
    client: OpenAI, http: httpx2.Client, worker: Bell, model_server: ModelServer
) -> None:
    run = ask(client)
    model_server.script(say(None, tool_calls=[call("call_a", "Paris"), call("call_b", "Rome")]))
    worker.answer()
    answer = http.post(
        f"threads/{run.thread_id}/runs/{run.id}/submit_tool_outputs",
        json={
            "tool_outputs": [{"tool_call_id": "call_a"}, {"tool_call_id": "call_b", "output": ""}]
        },
    )
    assert answer.status_code == 200
    worker.answer()
    assert [one["content"] for one in model_server.requests[1]["messages"][-2:]] == ["", ""]
