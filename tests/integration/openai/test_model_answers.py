"""Whatever the model answers, streamed or not: the run, its messages and its steps are the same, and
the official client's handler makes of the stream what is stored."""

import threading
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from openai import AssistantEventHandler, OpenAI
from openai.types.beta.threads import Run
from openai.types.beta.threads.runs import ToolCall

from shared.db import Database
from tests.conftest import Caller
from tests.factories import an_assistant
from tests.integration.openai.test_function_tools import WEATHER, call
from tests.integration.openai.test_streams import Event, parsed, working
from tests.model_server import ModelServer, Reply, chunk, pieces, say
from worker.bell import Bell

Ask = Callable[..., Run]

TEXT = {"type": "text", "text": {"value": "Let me see.", "annotations": []}}
NOTHING = {"type": "text", "text": {"value": "", "annotations": []}}
REFUSAL = {"type": "refusal", "refusal": "I can't."}
CUT = {"name": "get_weather", "arguments": '{"ci'}
CUT_CALL = {"id": "call_a", "type": "function", "function": CUT}
PARIS = call("call_a", "Paris")

# The answer; the run's status; its messages as status, reason and content; its steps, oldest first.
ANSWERS: dict[str, tuple[Reply, str, list[Any], list[str]]] = {
    "a refusal": (
        say(None, refusal="I can't."),
        "completed",
        [("completed", None, [REFUSAL])],
        ["message_creation completed"],
    ),
    "a refusal beside text": (
        say("Let me see.", refusal="I can't."),
        "completed",
        [("completed", None, [TEXT, REFUSAL])],
        ["message_creation completed"],
    ),
    "nothing": (
        say(""),
        "completed",
        [("completed", None, [NOTHING])],
        ["message_creation completed"],
    ),
    "nothing, for it was filtered": (
        say(None, finish="content_filter"),
        "completed",
        [("incomplete", "content_filter", [NOTHING])],
        ["message_creation completed"],
    ),
    "text that was filtered": (
        say("Let me see.", finish="content_filter"),
        "completed",
        [("incomplete", "content_filter", [TEXT])],
        ["message_creation completed"],
    ),
    "nothing, for it thought too long": (
        say(None, finish="length"),
        "incomplete",
        [("incomplete", "max_tokens", [NOTHING])],
        ["message_creation completed"],
    ),
    "text that is too long": (
        say("Let me see.", finish="length"),
        "incomplete",
        [("incomplete", "max_tokens", [TEXT])],
        ["message_creation completed"],
    ),
    "a call that is too long": (
        say(None, finish="length", tool_calls=[CUT_CALL]),
        "incomplete",
        [],
        ["tool_calls failed"],
    ),
    "text and a call that is too long": (
        say("Let me see.", finish="length", tool_calls=[CUT_CALL]),
        "incomplete",
        [("incomplete", "max_tokens", [TEXT])],
        ["message_creation completed", "tool_calls failed"],
    ),
    "a call that was filtered": (
        say(None, finish="content_filter", tool_calls=[CUT_CALL]),
        "completed",
        [],
        ["tool_calls failed"],
    ),
    "text and a call": (
        say("Let me see.", tool_calls=[PARIS], finish="tool_calls"),
        "requires_action",
        [("completed", None, [TEXT])],
        ["message_creation completed", "tool_calls in_progress"],
    ),
    "a refusal and a call": (
        say("", refusal="I can't.", tool_calls=[PARIS]),
        "requires_action",
        [("completed", None, [REFUSAL])],
        ["message_creation completed", "tool_calls in_progress"],
    ),
}


def tool_call(id_: Any, name: str = "get_weather", arguments: str = "{}") -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


# Calls as the model makes them, and which of their ids are kept.
CALLS: dict[str, tuple[list[dict[str, Any]], list[bool]]] = {
    "broken arguments": ([tool_call("call_a", arguments='{"city": ')], [True]),
    "no arguments": ([tool_call("call_a", arguments="")], [True]),
    "an unknown function": ([tool_call("call_a", "dance")], [True]),
    "an id of another kind than ours": ([tool_call("functions.get_weather:0")], [True]),
    "an id twice": ([tool_call("call_a"), tool_call("call_a", "dance")], [True, False]),
    "no id": ([tool_call(None), tool_call("")], [False, False]),
    "ids that cannot be": ([tool_call("call a\n"), tool_call("x" * 201)], [False, False]),
}


class Heard(AssistantEventHandler):
    def __init__(self) -> None:
        super().__init__()
        self.called: list[tuple[str, str, str]] = []

    def on_tool_call_done(self, tool_call: ToolCall) -> None:
        assert tool_call.type == "function"
        made = tool_call.function
        # The handler tells the last one again when its step ends.
        if (one := (tool_call.id, made.name, made.arguments)) not in self.called:
            self.called.append(one)


@pytest.fixture
def assistant_id(database: Database, caller: Caller) -> str:
    return an_assistant(database, caller.project_id, tools=[WEATHER]).id


@pytest.fixture(params=["whole", "streamed"])
def ask(
    request: pytest.FixtureRequest,
    client: OpenAI,
    http: httpx2.Client,
    database: Database,
    worker: Bell,
    assistant_id: str,
) -> Ask:
    """Asks, and returns the run as it stops. What a stream told is compared with what is stored."""

    def ask(**options: Any) -> Run:
        asked: Any = {
            "assistant_id": assistant_id,
            "thread": {"messages": [{"role": "user", "content": "Why?"}]},
            **options,
        }
        with working(worker, database):
            if request.param == "whole":
                return client.beta.threads.create_and_run_poll(**asked)
            heard = Heard()
            with client.beta.threads.create_and_run_stream(**asked, event_handler=heard) as stream:
                stream.until_done()
        run = heard.get_final_run()
        stored = messages_of(http, run)
        assert ([one.to_dict() for one in heard.get_final_messages()] if stored else []) == stored
        assert [one.to_dict()["id"] for one in heard.get_final_run_steps()] == [
            step["id"] for step in steps_of(http, run)
        ]
        if run.status == "requires_action":
            assert heard.called == calls_of(run)
        return run

    return ask


def messages_of(http: httpx2.Client, run: Run) -> list[dict[str, Any]]:
    query = {"run_id": run.id, "order": "asc"}
    return http.get(f"threads/{run.thread_id}/messages", params=query).json()["data"]


def steps_of(http: httpx2.Client, run: Run) -> list[dict[str, Any]]:
    query = {"order": "asc"}
    return http.get(f"threads/{run.thread_id}/runs/{run.id}/steps", params=query).json()["data"]


def calls_of(run: Run) -> list[tuple[str, str, str]]:
    assert run.required_action is not None
    calls = run.required_action.submit_tool_outputs.tool_calls
    return [(one.id, one.function.name, one.function.arguments) for one in calls]


@pytest.mark.parametrize("how", ANSWERS)
def test_an_answer_of_any_kind_is_stored_and_told_alike(
    ask: Ask, http: httpx2.Client, model_server: ModelServer, how: str
) -> None:
    reply, status, messages, steps = ANSWERS[how]
    model_server.script(reply)
    run = ask()
    assert run.status == status
    assert [
        (one["status"], (one["incomplete_details"] or {}).get("reason"), one["content"])
        for one in messages_of(http, run)
    ] == messages
    assert [f"{one['type']} {one['status']}" for one in steps_of(http, run)] == steps
    assert model_server.asked() == 1


@pytest.mark.parametrize("how", CALLS)
def test_calls_of_any_kind_are_handed_to_the_caller_as_they_are(
    ask: Ask, client: OpenAI, worker: Bell, model_server: ModelServer, how: str
) -> None:
    made, kept = CALLS[how]
    model_server.script(say(None, tool_calls=made), say("Sun."))
    run = ask()
    assert run.status == "requires_action"
    calls = calls_of(run)
    assert [one[1:] for one in calls] == [
        (one["function"]["name"], one["function"]["arguments"]) for one in made
    ]
    ids = [id_ for id_, _, _ in calls]
    assert [id_ == one["id"] for id_, one in zip(ids, made, strict=True)] == kept
    assert len(set(ids)) == len(made)
    client.beta.threads.runs.submit_tool_outputs(
        run.id,
        thread_id=run.thread_id,
        tool_outputs=[{"tool_call_id": id_, "output": f"of {id_}"} for id_ in ids],
    )
    worker.answer()
    told = model_server.requests[1]["messages"]
    assert [one["id"] for one in told[2]["tool_calls"]] == ids
    assert [(one["tool_call_id"], one["content"]) for one in told[3:]] == [
        (id_, f"of {id_}") for id_ in ids
    ]
    ended = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    assert ended.status == "completed"


def test_a_run_without_tools_whose_model_calls_one_goes_on_with_its_output(
    ask: Ask,
    client: OpenAI,
    database: Database,
    caller: Caller,
    worker: Bell,
    model_server: ModelServer,
) -> None:
    model_server.script(say(None, tool_calls=[PARIS]), say(None, tool_calls=[PARIS]), say("Sun."))
    run = ask(assistant_id=an_assistant(database, caller.project_id).id)
    for _ in range(2):
        client.beta.threads.runs.submit_tool_outputs(
            run.id,
            thread_id=run.thread_id,
            tool_outputs=[{"tool_call_id": "call_a", "output": "sun"}],
        )
        worker.answer()
    assert [len(body["messages"]) for body in model_server.requests] == [2, 4, 6]
    ended = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    assert ended.status == "completed"


@pytest.mark.parametrize(
    "indices", [[1, 2], [0, 0], [7, 3], [None, None]], ids=["from 1", "all 0", "odd", "none"]
)
def test_calls_are_told_apart_however_the_server_numbers_them(
    ask: Ask, model_server: ModelServer, indices: list[int | None]
) -> None:
    """A stream begins each with its id and name; pieces of its arguments follow."""
    begun = zip(indices, ("call_a", "call_b"), strict=True)
    deltas: list[dict[str, Any]] = []
    for index, id_ in begun:
        place = {} if index is None else {"index": index}
        deltas.append({**place, **tool_call(id_, arguments="")})
        deltas += [
            {**place, "function": {"arguments": piece}} for piece in ('{"of": ', f'"{id_}"}}')
        ]
    whole = [tool_call(id_, arguments=f'{{"of": "{id_}"}}') for id_ in ("call_a", "call_b")]
    streamed = pieces(*(chunk({"tool_calls": [delta]}) for delta in deltas), "[DONE]")
    in_one = say(None, tool_calls=whole)
    model_server.script(
        lambda handler, body: (streamed if body.get("stream") else in_one)(handler, body)
    )
    assert calls_of(ask()) == [
        ("call_a", "get_weather", '{"of": "call_a"}'),
        ("call_b", "get_weather", '{"of": "call_b"}'),
    ]


def test_what_was_said_and_what_was_refused_stay_apart_where_an_answer_breaks_off(
    http: httpx2.Client,
    client: OpenAI,
    database: Database,
    worker: Bell,
    assistant_id: str,
    model_server: ModelServer,
) -> None:
    said = [{"content": "Let "}, {"refusal": "I "}, {"content": "me see."}, {"refusal": "can't."}]
    error = {"error": {"message": "overloaded"}}
    for _ in range(9):
        model_server.script(pieces(*map(chunk, said), error))
    thread: Any = {"messages": [{"role": "user", "content": "Why?"}]}
    heard = Heard()
    with (
        working(worker, database),
        client.beta.threads.create_and_run_stream(
            assistant_id=assistant_id, thread=thread, event_handler=heard
        ) as stream,
    ):
        stream.until_done()
    run = heard.get_final_run()
    assert run.status == "failed"
    (kept,) = messages_of(http, run)
    assert (kept["status"], kept["incomplete_details"]) == ("incomplete", {"reason": "run_failed"})
    assert kept["content"] == [TEXT, REFUSAL]
    assert heard.get_final_messages()[0].to_dict() == kept


@pytest.mark.parametrize("streamed", [False, True])
def test_a_thousand_calls_in_one_turn_are_made(
    http: httpx2.Client,
    database: Database,
    worker: Bell,
    assistant_id: str,
    model_server: ModelServer,
    streamed: bool,
) -> None:
    ids = [f"call_{number}" for number in range(1000)]
    model_server.script(say(None, tool_calls=[tool_call(id_) for id_ in ids]), say("Sun."))
    run, told = asked_by_hand(http, database, worker, assistant_id, streamed)
    calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    assert [one["id"] for one in calls] == ids
    if streamed:
        deltas = [body["delta"] for name, body in told if name == "thread.run.step.delta"]
        named = [one.get("id") for delta in deltas for one in delta["step_details"]["tool_calls"]]
        assert list(filter(None, named)) == ids
    outputs = [{"tool_call_id": id_, "output": f"of {id_}"} for id_ in reversed(ids)]
    url = f"threads/{run['thread_id']}/runs/{run['id']}"
    submitted = http.post(f"{url}/submit_tool_outputs", json={"tool_outputs": outputs})
    assert submitted.status_code == 200
    worker.answer()
    results = [one for one in model_server.requests[1]["messages"] if one["role"] == "tool"]
    assert [one["content"] for one in results] == [f"of {id_}" for id_ in ids]
    assert http.get(url).json()["status"] == "completed"


@pytest.mark.parametrize("streamed", [False, True])
def test_more_calls_than_anybody_can_make_fail_the_run_at_once_and_say_so(
    http: httpx2.Client,
    database: Database,
    worker: Bell,
    assistant_id: str,
    model_server: ModelServer,
    streamed: bool,
) -> None:
    too_many = [tool_call(f"call_{number}") for number in range(10_001)]
    model_server.script(say(None, tool_calls=too_many))
    run, _ = asked_by_hand(http, database, worker, assistant_id, streamed)
    assert run["status"] == "failed"
    assert run["last_error"] == {
        "code": "server_error",
        "message": "The model made more than 10000 tool calls in one turn.",
    }
    assert model_server.asked() == 1


def asked_by_hand(
    http: httpx2.Client, database: Database, worker: Bell, assistant_id: str, streamed: bool
) -> tuple[dict[str, Any], list[Event]]:
    """The run as it stops, and what its stream told: the official handler goes through all calls
    again with each piece of one."""
    thread = {"messages": [{"role": "user", "content": "Why?"}]}
    body = {"assistant_id": assistant_id, "thread": thread, "stream": streamed}
    if streamed:
        with working(worker, database):
            told = parsed(http.post("threads/runs", json=body).text)
        return told[-2][1], told
    run = http.post("threads/runs", json=body).json()
    worker.answer()
    return http.get(f"threads/{run['thread_id']}/runs/{run['id']}").json(), []


@pytest.mark.parametrize(
    ("broken", "answer", "steps"),
    [
        ({"content": "Let me"}, say(None, tool_calls=[PARIS]), ["tool_calls in_progress"]),
        ({"tool_calls": [{"index": 0, **CUT_CALL}]}, say("Sun."), ["message_creation completed"]),
        ({"tool_calls": [{"index": 0, **CUT_CALL}]}, say("Let me see.", tool_calls=[PARIS]), ["message_creation completed", "tool_calls in_progress"]),
        ({"content": "Let me"}, say("Sun.", tool_calls=[PARIS]), ["message_creation completed", "tool_calls in_progress"]),
    ],
    ids=["text, then a call", "a call, then text", "a call, then both", "text, then both"],
)  # fmt: skip
def test_a_turn_that_broke_off_and_comes_out_otherwise_is_told_in_order(
    http: httpx2.Client,
    client: OpenAI,
    database: Database,
    worker: Bell,
    assistant_id: str,
    model_server: ModelServer,
    broken: dict[str, Any],
    answer: Reply,
    steps: list[str],
) -> None:
    gate = threading.Event()
    model_server.script(pieces(chunk({"content": ""}), chunk(broken), until=gate), answer)
    thread: Any = {"messages": [{"role": "user", "content": "Why?"}]}
    heard = Heard()
    told: list[Any] = []
    with (
        working(worker, database),
        client.beta.threads.create_and_run_stream(
            assistant_id=assistant_id, thread=thread, event_handler=heard
        ) as stream,
    ):
        gate.set()
        told.extend(stream)
    run = heard.get_final_run()
    stored = steps_of(http, run)
    assert [f"{one['type']} {one['status']}" for one in stored] == steps
    begun: set[str] = set()
    for event in told:
        kind, _, what = event.event.removeprefix("thread.").rpartition(".")
        if kind in ("run.step", "message"):
            # Nothing is told of what is not open, and nothing is left open.
            assert (event.data.id in begun) == (what != "created"), event
            if what == "created":
                begun.add(event.data.id)
            elif what in ("completed", "incomplete", "failed"):
                begun.remove(event.data.id)
    assert begun == {one["id"] for one in stored if one["status"] == "in_progress"}
    if run.status == "requires_action":
        assert heard.called[-1:] == calls_of(run)
    kept = messages_of(http, run)
    completed = [
        event.data.to_dict() for event in told if event.event == "thread.message.completed"
    ]
    assert completed == kept
