"""From a run and its thread to the model's messages. Pure.

Tokens are estimated, one per three bytes of UTF-8 and a few per message: no tokenizer fits every
model, and an estimate that is too high only drops a message early.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.errors import ModelError
from shared.store.messages import Said
from shared.store.run_steps import RunStep
from shared.store.runs import Run

ChatMessage = dict[str, Any]

_MESSAGE_TOKENS = 8
_IMAGE_TOKENS = 1000
# What an answer may take of a context, where the run does not say.
_ANSWER_SHARE = 4


def build(
    run: Run, said: Sequence[Said], context_tokens: int, steps: Sequence[RunStep] = ()
) -> list[ChatMessage]:
    """Instructions first, then the conversation, its middle dropped where it does not fit, then
    what this run has said and called so far, whole.

    `context_tokens` is the model's context, 0 if unknown. Raises ModelError for what a model
    cannot be shown.
    """
    system = [{"role": "system", "content": run.instructions}] if run.instructions else []
    chat = [_chat_message(message) for message in said if message.run_id != run.id]
    own = {message.id: message for message in said if message.run_id == run.id}
    turns = [message for step in steps for message in _turn(step, own)]
    budget = _budget(run, context_tokens)
    if budget is not None:
        chat = _fit(chat, budget - sum(map(tokens, [*system, *turns])))
    return [*system, *chat, *turns]


def last_messages(run: Run) -> int | None:
    """How many of the newest messages the run wants told; None for all."""
    strategy = run.truncation_strategy
    return strategy["last_messages"] if strategy["type"] == "last_messages" else None


def tokens(message: ChatMessage) -> int:
    """The estimate."""
    content = message["content"]
    if "tool_calls" in message:
        content = str(message["tool_calls"])
    if isinstance(content, str):
        return _MESSAGE_TOKENS + len(content.encode()) // 3
    parts: list[dict[str, Any]] = content
    return _MESSAGE_TOKENS + sum(
        len(part["text"].encode()) // 3 if part["type"] == "text" else _IMAGE_TOKENS
        for part in parts
    )


def _budget(run: Run, context_tokens: int) -> int | None:
    answer = run.max_completion_tokens or context_tokens // _ANSWER_SHARE
    limits = [context_tokens - answer] if context_tokens else []
    if run.max_prompt_tokens is not None:
        limits.append(run.max_prompt_tokens)
    return min(limits) if limits else None


def _fit(chat: list[ChatMessage], budget: int) -> list[ChatMessage]:
    """The newest message always, the first if it fits, then backwards from the newest."""
    if sum(map(tokens, chat)) <= budget or len(chat) < 2:
        return chat
    first, middle, newest = chat[0], chat[1:-1], chat[-1]
    left = budget - tokens(newest)
    kept_first = [first] if tokens(first) <= left else []
    left -= sum(map(tokens, kept_first))
    kept = [newest]
    for message in reversed(middle):
        left -= tokens(message)
        if left < 0:
            break
        kept.append(message)
    return [*kept_first, *kept[::-1]]


def _turn(step: RunStep, own: Mapping[str, Said]) -> list[ChatMessage]:
    """A step as the model knows it: what it said, or what it called and what came of it."""
    if step.type == "message_creation":
        message = own.get(step.step_details["message_creation"]["message_id"])
        return [_chat_message(message)] if message else []
    calls: list[dict[str, Any]] = step.step_details["tool_calls"]
    made = [
        {
            "id": call["id"],
            "type": "function",
            "function": {
                "name": call["function"]["name"],
                "arguments": call["function"]["arguments"],
            },
        }
        for call in calls
    ]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": call["function"]["output"] or ""}
        for call in calls
    ]
    return [{"role": "assistant", "content": None, "tool_calls": made}, *results]


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
