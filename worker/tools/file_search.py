"""file_search as the model sees it: a function that it may call, and the passages that it is told.

On the wire it is a tool call of its own kind, whose step has what was found. Such a step also keeps
what the wire does not show: the `query`, the `turn` that its markers begin with, and `unasked`
where the search came before the model was asked at all. `searching` finds the passages.
"""

from collections.abc import Sequence
from typing import Any, cast

import orjson

from shared import citations
from shared.store.history import Said
from shared.store.run_steps import RunStep
from shared.store.runs import Run
from worker.model import ToolCall

Call = dict[str, Any]

TOOL = "file_search"
# Of a run. What it asks for beyond them finds nothing, and then it is not offered any more.
MOST_SEARCHES = 10
_LONGEST_QUERY = 8192
_ABOUT = (
    "Searches the files that belong to this conversation for passages about a question."
    " Use it whenever the files may hold the answer."
)
_FOUND = (
    "Passages found in the files. Behind each statement that rests on a passage, write that"
    " passage's marker exactly as it stands here, with its brackets, such as {example}."
)
_NOTHING_FOUND = "Nothing was found in the files."


def is_in(tools: Sequence[dict[str, Any]]) -> bool:
    return any(tool["type"] == TOOL for tool in tools)


def name_in(tools: Sequence[dict[str, Any]]) -> str:
    """What the model calls it: no function of the caller's has this name."""
    name = TOOL
    taken = {tool["function"]["name"] for tool in tools if tool["type"] == "function"}
    while name in taken:
        name += "_"
    return name


def for_model(
    run: Run, steps: Sequence[RunStep], *, comes_first: bool = False
) -> list[dict[str, Any]]:
    """The run's tools as functions. This one as long as it may be called: not where the search
    comes first, since that is for models that cannot call."""
    tools = run.tools or []
    functions = [tool for tool in tools if tool["type"] == "function"]
    if not is_in(tools) or comes_first or len(of_steps(steps)) >= MOST_SEARCHES:
        return functions
    query = {"type": "string", "description": "What to look for, in a sentence or a few words."}
    parameters = {"type": "object", "properties": {"query": query}, "required": ["query"]}
    function = {"name": name_in(tools), "description": _ABOUT, "parameters": parameters}
    return [*functions, {"type": "function", "function": function}]


def made(run: Run, call: Call) -> Call:
    """A search as the call that the model made."""
    arguments = orjson.dumps({"query": call[TOOL]["query"]}).decode()
    function = {"name": name_in(run.tools), "arguments": arguments}
    return {"id": call["id"], "type": "function", "function": function}


def is_unasked(call: Call) -> bool:
    return call["type"] == TOOL and call[TOOL].get("unasked", False)


def told(call: Call) -> str:
    """What the model is told that it found."""
    search = call[TOOL]
    passages = [
        (citations.marker(search["turn"], index, result["file_name"]), result["content"])
        for index, result in enumerate(search["results"])
    ]
    if not passages:
        return _NOTHING_FOUND
    written = (f"{marker}\n{content[0]['text']}" for marker, content in passages)
    return "\n\n".join([_FOUND.format(example=passages[0][0]), *written])


def of_steps(steps: Sequence[RunStep]) -> list[Call]:
    """The searches that a run has made."""
    return [
        call[TOOL]
        for step in steps
        for call in step.step_details.get("tool_calls", ())
        if call["type"] == TOOL
    ]


def query_of(call: ToolCall) -> str:
    """Models write arguments in many ways: the object that was asked for, one with other names, the
    words alone."""
    try:
        arguments: Any = orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        arguments = call.arguments
    if isinstance(arguments, dict):
        given = cast("dict[str, Any]", arguments)
        arguments = given.get("query") or next(iter(given.values()), "")
    if isinstance(arguments, list):
        arguments = "\n".join(str(one) for one in cast("list[Any]", arguments))
    return _clean(arguments if isinstance(arguments, str) else "")


def last_question(said: Sequence[Said]) -> str:
    for message in reversed(said):
        if message.role == "user":
            parts = [part["text"]["value"] for part in message.content if part["type"] == "text"]
            return _clean("\n".join(parts))
    return ""


def _clean(text: str) -> str:
    return text.replace("\0", " ").strip()[:_LONGEST_QUERY]
