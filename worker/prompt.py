"""From a run and its thread to the model's messages. Pure, but for the count of tokens given."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from shared.errors import ModelError
from shared.store.history import Said
from shared.store.run_steps import RunStep
from shared.store.runs import Run
from shared.tokens import estimate
from worker.tokens import Count
from worker.tools import file_search

ChatMessage = dict[str, Any]

_MESSAGE_TOKENS = 8
_IMAGE_TOKENS = 1000
# What an answer may take of a context, where the run does not say.
_ANSWER_SHARE = 4


def build(
    run: Run,
    said: Sequence[Said],
    context_tokens: int,
    steps: Sequence[RunStep] = (),
    count: Count = estimate,
) -> list[ChatMessage]:
    """Instructions first, then the conversation, its middle dropped where it does not fit, then
    what this run has said and called so far, whole. What was found unasked stands before the
    question, for small models take less notice of what stands before the whole conversation.

    `context_tokens` is the model's context, 0 if unknown. Raises ModelError for what a model
    cannot be shown.
    """
    chat = [_chat_message(message) for message in said if message.run_id != run.id]
    found = "\n\n".join(_found_unasked(steps))
    if found and chat and chat[-1]["role"] == "user":
        chat[-1] = _after(found, chat[-1])
        found = ""
    instructions = "\n\n".join(filter(None, [run.instructions, found]))
    system = [{"role": "system", "content": instructions}] if instructions else []
    own = {message.id: message for message in said if message.run_id == run.id}
    turns = [message for step in steps for message in _turn(run, step, own)]
    budget = room(run, context_tokens)
    if budget is not None:
        tools = orjson.dumps(file_search.for_model(run, steps)).decode()

        def fits(kept: Sequence[ChatMessage]) -> bool:
            return cost([*system, *kept, *turns], tools, budget, count) <= budget

        chat = _fit(chat, fits)
    return [*system, *chat, *turns]


def last_messages(run: Run) -> int | None:
    """How many of the newest messages the run wants told; None for all."""
    strategy = run.truncation_strategy
    return strategy["last_messages"] if strategy["type"] == "last_messages" else None


def cost(chat: Sequence[ChatMessage], tools: str, budget: int, count: Count) -> int:
    """Tokens, or bytes where not even those exceed the budget: a token is a byte at least, so most
    prompts need no counting."""
    beside = _MESSAGE_TOKENS * len(chat)
    texts = [tools]
    for message in chat:
        for text in _texts(message):
            texts.append(text or "")
            beside += 0 if text is not None else _IMAGE_TOKENS
    text = "\n".join(texts)
    size = len(text.encode())
    return beside + (size if beside + size <= budget else count(text))


def _texts(message: ChatMessage) -> Iterator[str | None]:
    """None for each image."""
    if "tool_calls" in message:
        yield str(message["tool_calls"])
    elif isinstance(message["content"], str):
        yield message["content"]
    else:
        for part in message["content"]:
            yield part["text"] if part["type"] == "text" else None


def room(run: Run, context_tokens: int) -> int | None:
    """Tokens that the run's prompts may have; None where that is unknown."""
    answer = run.max_completion_tokens or context_tokens // _ANSWER_SHARE
    limits = [context_tokens - answer] if context_tokens else []
    if run.max_prompt_tokens is not None:
        limits.append(run.max_prompt_tokens)
    return min(limits) if limits else None


def _fit(
    chat: list[ChatMessage], fits: Callable[[Sequence[ChatMessage]], bool]
) -> list[ChatMessage]:
    """The newest message always, the first if it fits, then as many before the newest as fit."""
    if len(chat) < 2 or fits(chat):
        return chat
    first, rest = chat[:1], chat[1:]
    if not fits([*first, rest[-1]]):
        first = []
    # One message more never costs less, so the first number too many is found by halving.
    too_many = bisect_left(
        range(2, len(rest) + 1), True, key=lambda number: not fits([*first, *rest[-number:]])
    )
    return [*first, *rest[-(1 + too_many) :]]


def _turn(run: Run, step: RunStep, own: Mapping[str, Said]) -> list[ChatMessage]:
    """A step as the model knows it: what it said, or what it called and what came of it."""
    if step.type == "message_creation":
        message = own.get(step.step_details["message_creation"]["message_id"])
        return [_chat_message(message)] if message else []
    calls = [call for call in step.step_details["tool_calls"] if not file_search.is_unasked(call)]
    if not calls:
        return []
    made = [_made(run, call) for call in calls]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": _output(call)} for call in calls
    ]
    return [{"role": "assistant", "content": None, "tool_calls": made}, *results]


def _made(run: Run, call: dict[str, Any]) -> dict[str, Any]:
    if call["type"] == file_search.TOOL:
        return file_search.made(run, call)
    function = {name: call["function"][name] for name in ("name", "arguments")}
    return {"id": call["id"], "type": "function", "function": function}


def _output(call: dict[str, Any]) -> str:
    if call["type"] == file_search.TOOL:
        return file_search.told(call)
    return call["function"]["output"] or ""


def _found_unasked(steps: Sequence[RunStep]) -> Iterator[str]:
    """For a model that knows nothing of calls."""
    for step in steps:
        for call in step.step_details.get("tool_calls", ()):
            if file_search.is_unasked(call):
                yield file_search.told(call)


def _after(found: str, message: ChatMessage) -> ChatMessage:
    content = message["content"]
    if isinstance(content, str):
        return {**message, "content": f"{found}\n\n{content}"}
    return {**message, "content": [{"type": "text", "text": found}, *content]}


def _chat_message(message: Said) -> ChatMessage:
    parts = [_chat_part(part) for part in message.content]
    if all(part["type"] == "text" for part in parts):
        return {"role": message.role, "content": "\n".join(part["text"] for part in parts)}
    return {"role": message.role, "content": parts}


def _chat_part(part: dict[str, Any]) -> dict[str, Any]:
    match part["type"]:
        case "text":
            return {"type": "text", "text": part["text"]["value"]}
        case "refusal":
            return {"type": "text", "text": part["refusal"]}
        case "image_url":
            return {"type": "image_url", "image_url": part["image_url"]}
        case kind:
            raise ModelError(
                f"A message of this thread holds an {kind} part, and this version of Treadle"
                " cannot show files to a model yet.",
                code="invalid_prompt",
                transient=False,
            )
