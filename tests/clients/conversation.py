"""What every client talks about: two tool calls in one turn, an answer, a second message."""

import json
from typing import Any

from tests.model_server import ModelServer, fail, say


def _call(city: str) -> dict[str, Any]:
    function = {"name": "weather", "arguments": json.dumps({"city": city})}
    return {"id": f"call_{city}", "type": "function", "function": function}


_CALLS = [_call("Rome"), _call("Oslo")]
_FIRST = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Rome or Oslo?"},
]
_ANSWER = {"role": "assistant", "content": "Rome is nicer."}
_SECOND = {"role": "user", "content": "Really?"}

PROMPTS = [
    _FIRST,
    [
        *_FIRST,
        {"role": "assistant", "content": None, "tool_calls": _CALLS},
        {"role": "tool", "tool_call_id": "call_Rome", "content": "sunny"},
        {"role": "tool", "tool_call_id": "call_Oslo", "content": "snow"},
    ],
    [*_FIRST, _ANSWER, _SECOND],
]
# As a client lists it: the newest first.
THREAD = [
    ["assistant", "Yes it is."],
    ["user", "Really?"],
    ["assistant", "Rome is nicer."],
    ["user", "Rome or Oslo?"],
]
FAILURE = ["failed", "invalid_prompt", "The model server answered 400: No such model."]
REFUSAL = 'Runs in status "failed" do not accept tool outputs.'


def rehearse(model_server: ModelServer) -> None:
    """The model's part of the conversation."""
    model_server.script(say(None, tool_calls=_CALLS), say("Rome is nicer."), say("Yes it is."))


def refuse(model_server: ModelServer) -> None:
    """The model server refuses the question "Why?"."""
    model_server.when("Why?", fail(400, "No such model."))


def joined(told: list[list[Any]]) -> list[list[Any]]:
    """Neighbouring deltas as one: in how many pieces something is told is nobody's promise."""
    lines: list[list[Any]] = []
    for name, *facts in told:
        if name.endswith(" delta") and lines and lines[-1][0] == name:
            lines[-1] = [name, lines[-1][1] + facts[0], *facts[1:]]
        else:
            lines.append([name, *facts])
    return lines


def prompts(model_server: ModelServer) -> list[Any]:
    """What the model server was asked."""
    return [request["messages"] for request in model_server.requests]
