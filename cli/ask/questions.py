"""One line of the input: a question, or what is wrong with it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_OPTIONS = (
    *("max_completion_tokens", "max_prompt_tokens", "parallel_tool_calls", "response_format"),
    *("temperature", "tool_choice", "tool_resources", "tools", "top_p", "truncation_strategy"),
)
_WORDS = ("assistant_id", "model", "instructions")
_CONTENTS = ("question", "content", "messages")
KNOWN = {"custom_id", "metadata", *_CONTENTS, *_WORDS, *_OPTIONS}
_ROLES = ("user", "assistant")


@dataclass(frozen=True, slots=True)
class Question:
    """`body` is what POST /threads/runs takes, without the job's own options; `metadata` comes
    back with the answer."""

    line: int
    custom_id: str
    body: dict[str, Any]
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Bad:
    line: int
    reason: str


class BadLineError(Exception):
    """The reason goes behind "line 17"."""


def of_text(line: int, text: str) -> Question:
    return Question(line, str(line), _asked([{"role": "user", "content": _text(text, "the line")}]))


def of_row(line: int, row: dict[str, str]) -> Question:
    """Of CSV: all but the question and its id is metadata, which no server's limits bound."""
    others = {name: text for name, text in row.items() if name not in ("custom_id", "question")}
    body = _asked([{"role": "user", "content": _text(row["question"], "'question'")}])
    return Question(line, row.get("custom_id") or str(line), body, others or None)


def of_object(line: int, given: Any) -> Question:
    """Of JSON. Raises BadLineError."""
    if not isinstance(given, dict):
        raise BadLineError("is no JSON object")
    if unknown := sorted(given.keys() - KNOWN):
        raise BadLineError(f"has {', '.join(map(repr, unknown))}, which means nothing here")
    given = {name: value for name, value in given.items() if value is not None}
    body = _asked(_messages(given))
    for name in _WORDS:
        if name in given:
            body[name] = _text(given[name], repr(name))
    metadata = given.get("metadata")
    if metadata is not None:
        if not isinstance(metadata, dict):
            raise BadLineError("has 'metadata' that is no object")
        body["metadata"] = metadata
    body |= {name: given[name] for name in _OPTIONS if name in given}
    return Question(line, _custom_id(line, given), body, metadata)


def read_line(line: int, read: Callable[[], Question]) -> Question | Bad:
    try:
        return read()
    except BadLineError as error:
        return Bad(line, str(error))


def _asked(messages: list[Any]) -> dict[str, Any]:
    return {"thread": {"messages": messages}}


def _custom_id(line: int, given: dict[str, Any]) -> str:
    """The line number is the id of a question that has none."""
    custom_id = given.get("custom_id", line)
    if isinstance(custom_id, bool) or not isinstance(custom_id, str | int) or custom_id == "":
        raise BadLineError("has a 'custom_id' that is neither text nor a whole number")
    return str(custom_id)


def _messages(given: dict[str, Any]) -> list[Any]:
    named = [name for name in _CONTENTS if name in given]
    if len(named) != 1:
        found = " and ".join(map(repr, named)) or "none"
        raise BadLineError(f"needs one of 'question', 'content' and 'messages', and has {found}")
    if named != ["messages"]:
        return [{"role": "user", "content": _content(given[named[0]], repr(named[0]))}]
    messages = given["messages"]
    if not isinstance(messages, list) or not messages:
        raise BadLineError("has 'messages' that are no list of messages")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise BadLineError(
                "has a message whose 'role' is neither 'user' nor 'assistant' (what the system "
                "says goes to 'instructions')"
            )
        _content(message.get("content"), "a message's 'content'")
    return messages


def _content(content: Any, name: str) -> Any:
    """Text, or a list of parts, which the server judges."""
    if isinstance(content, list) and content:
        return content
    return _text(content, name)


def _text(text: Any, name: str) -> str:
    if not isinstance(text, str) or not text.strip():
        raise BadLineError(f"has no text in {name}")
    if "\0" in text:
        raise BadLineError("has the character U+0000, which no message can hold")
    return text
