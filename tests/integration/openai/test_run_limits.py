"""POST /threads/{thread_id}/runs and /threads/runs: bodies at their limits, and beyond."""

from typing import Any

import httpx2
import pytest

from shared.db import Database
from tests.conftest import Caller
from tests.factories import a_thread, an_assistant
from tests.integration.wire import error_of
from tests.model_server import ModelServer
from worker.bell import Bell

LONG = "𝄞" * 256_000


def tools(number: int, **options: Any) -> list[dict[str, Any]]:
    return [
        {"type": "function", "function": {"name": f"tool_{n}", **options}} for n in range(number)
    ]


def said(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


AT_THE_LIMIT: dict[str, Any] = {
    "instructions": LONG,
    "tools": [
        {
            "type": "function",
            "function": {"name": f"{n:03}".rjust(64, "x"), "parameters": {"type": "object"}},
        }
        for n in range(128)
    ],
    "metadata": {f"{n:02}".rjust(64, "k"): "𝄞" * 512 for n in range(16)},
}
TOO_LONG = (
    "Invalid '{}': string too long. Expected a string with maximum length {}, but got a string"
    " with length {} instead."
)
TOO_MANY = (
    "Invalid '{}': array too long. Expected an array with maximum length {}, but got an array with"
    " length {} instead."
)
BEYOND: list[tuple[dict[str, Any], str, str, str]] = [
    ({"tools": tools(129)}, "tools", "array_above_max_length", TOO_MANY.format("tools", 128, 129)),
    ({"tools": tools(1000)}, "tools", "array_above_max_length", TOO_MANY.format("tools", 128, 1000)),
    ({"tools": tools(1, description="x" * 10_001)}, "tools[0].function.description", "string_above_max_length", TOO_LONG.format("tools[0].function.description", 10_000, 10_001)),
    ({"tools": [{"type": "function", "function": {"name": "x" * 65}}]}, "tools[0].function.name", "string_above_max_length", TOO_LONG.format("tools[0].function.name", 64, 65)),
    ({"metadata": {str(n): "" for n in range(17)}}, "metadata", "object_above_max_properties", "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object with 17 properties instead."),
    ({"metadata": {str(n): "" for n in range(512)}}, "metadata", "object_above_max_properties", "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object with 512 properties instead."),
    ({"metadata": {"k" * 65: ""}}, "metadata", "string_above_max_length", TOO_LONG.format("metadata", 64, 65)),
    ({"metadata": {"k": "v" * 513}}, "metadata.k", "string_above_max_length", TOO_LONG.format("metadata.k", 512, 513)),
    ({"instructions": LONG + "x"}, "instructions", "string_above_max_length", TOO_LONG.format("instructions", 256_000, 256_001)),
    ({"model": "x" * 257}, "model", "string_above_max_length", TOO_LONG.format("model", 256, 257)),
    ({"max_prompt_tokens": 255}, "max_prompt_tokens", "integer_below_min_value", "Invalid 'max_prompt_tokens': integer below minimum value. Expected a value >= 256, but got 255 instead."),
    ({"max_completion_tokens": 255}, "max_completion_tokens", "integer_below_min_value", "Invalid 'max_completion_tokens': integer below minimum value. Expected a value >= 256, but got 255 instead."),
    ({"temperature": 2.1}, "temperature", "decimal_above_max_value", "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.1 instead."),
    ({"top_p": -0.1}, "top_p", "decimal_below_min_value", "Invalid 'top_p': decimal below minimum value. Expected a value >= 0, but got -0.1 instead."),
]  # fmt: skip
IN_MESSAGES: list[tuple[Any, str, str, str]] = [
    (said("x", LONG + "x"), "[1].content", "string_above_max_length", TOO_LONG.format("{}[1].content", 256_000, 256_001)),
    ([{"role": "user", "content": [{"type": "text", "text": LONG + "x"}]}], "[0].content[0].text", "string_above_max_length", TOO_LONG.format("{}[0].content[0].text", 256_000, 256_001)),
    ([{"role": "user", "content": []}], "[0].content", "empty_array", "Invalid '{}[0].content': empty array. Expected an array with minimum length 1, but got an empty array instead."),
    ([{"role": "user", "content": "x", "metadata": {"k": "v" * 513}}], "[0].metadata.k", "string_above_max_length", TOO_LONG.format("{}[0].metadata.k", 512, 513)),
    ([{"role": "user"}], "[0].content", "missing_required_parameter", "Missing required parameter: '{}[0].content'."),
    ({"role": "user", "content": "x"}, "", "invalid_type", "Invalid type for '{}': expected an array, but got an object instead."),
]  # fmt: skip


@pytest.fixture
def assistant_id(database: Database, caller: Caller) -> str:
    return an_assistant(database, caller.project_id).id


@pytest.fixture(params=["on a thread", "with its thread"])
def url(request: pytest.FixtureRequest, database: Database, caller: Caller) -> str:
    if request.param == "with its thread":
        return "threads/runs"
    return f"threads/{a_thread(database, caller.project_id, 'Why?').id}/runs"


def test_a_run_with_all_at_its_limit_is_taken_shown_and_told_to_the_model(
    http: httpx2.Client,
    url: str,
    assistant_id: str,
    worker: Bell,
    model_server: ModelServer,
) -> None:
    whose = "thread" if url == "threads/runs" else "additional_messages"
    messages = said(LONG, "And?")
    own = {whose: {"messages": messages} if whose == "thread" else messages}
    made = http.post(url, json={"assistant_id": assistant_id, **AT_THE_LIMIT, **own})
    assert made.status_code == 200, made.text[:500]
    run = made.json()
    for name in ("instructions", "metadata"):
        assert run[name] == AT_THE_LIMIT[name]
    names = [tool["function"]["name"] for tool in run["tools"]]
    assert names == [tool["function"]["name"] for tool in AT_THE_LIMIT["tools"]]
    worker.answer()
    (asked,) = model_server.requests
    assert asked["messages"][0] == {"role": "system", "content": LONG}
    assert asked["messages"][-2:] == messages
    assert asked["tools"] == run["tools"]


@pytest.mark.parametrize(
    ("body", "param", "code", "message"), BEYOND, ids=[f"{one[1]} {one[3][-30:]}" for one in BEYOND]
)
def test_one_more_is_refused_in_the_wires_words(
    http: httpx2.Client,
    url: str,
    assistant_id: str,
    body: dict[str, Any],
    param: str,
    code: str,
    message: str,
) -> None:
    assert error_of(http.post(url, json={"assistant_id": assistant_id, **body})) == {
        "message": message,
        "type": "invalid_request_error",
        "param": param,
        "code": code,
    }


@pytest.mark.parametrize(
    ("messages", "place", "code", "message"), IN_MESSAGES, ids=[one[2] for one in IN_MESSAGES]
)
def test_a_message_that_comes_with_a_run_has_the_limits_of_any_other(
    http: httpx2.Client,
    url: str,
    assistant_id: str,
    messages: Any,
    place: str,
    code: str,
    message: str,
) -> None:
    if url == "threads/runs":
        whose, body = "thread.messages", {"thread": {"messages": messages}}
    else:
        whose, body = "additional_messages", {"additional_messages": messages}
    assert error_of(http.post(url, json={"assistant_id": assistant_id, **body})) == {
        "message": message.format(whose),
        "type": "invalid_request_error",
        "param": f"{whose}{place}",
        "code": code,
    }


def test_additional_instructions_have_the_limit_of_instructions(
    http: httpx2.Client, database: Database, caller: Caller, assistant_id: str
) -> None:
    thread = a_thread(database, caller.project_id, "Why?")
    body = {"assistant_id": assistant_id, "instructions": LONG}
    url = f"threads/{thread.id}/runs"
    error = error_of(http.post(url, json={**body, "additional_instructions": LONG + "x"}))
    assert (error["param"], error["code"]) == ("additional_instructions", "string_above_max_length")
    made = http.post(url, json={**body, "additional_instructions": LONG}).json()
    assert made["instructions"] == f"{LONG}\n{LONG}"


def test_thousands_of_messages_come_with_a_run_in_their_order(
    http: httpx2.Client,
    url: str,
    assistant_id: str,
    worker: Bell,
    model_server: ModelServer,
) -> None:
    messages = said(*(f"Number {number}." for number in range(5000)))
    own = {"messages": messages} if url == "threads/runs" else messages
    whose = "thread" if url == "threads/runs" else "additional_messages"
    made = http.post(url, json={"assistant_id": assistant_id, whose: own})
    assert made.status_code == 200
    worker.answer()
    assert model_server.requests[0]["messages"][-5000:] == messages
    thread = f"threads/{made.json()['thread_id']}/messages"
    newest = http.get(thread, params={"limit": 3}).json()["data"]
    assert [one["content"][0]["text"]["value"] for one in newest] == [
        "You said: Number 4999.",
        "Number 4999.",
        "Number 4998.",
    ]
