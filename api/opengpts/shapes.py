"""Objects and messages as this dialect shows them."""

from datetime import datetime
from typing import Any

from shared.store.history import Said
from shared.store.opengpts import Assistant, Thread

Shape = dict[str, Any]


def assistant(shown: Assistant) -> Shape:
    """Without its user: where a cookie is all that tells users apart, its value is theirs."""
    return {
        "assistant_id": shown.id,
        "name": shown.name,
        "config": shown.config,
        "updated_at": _instant(shown.updated_at),
        "public": shown.public,
    }


def own_assistant(shown: Assistant) -> Shape:
    return {**assistant(shown), "user_id": shown.user_id}


def thread(shown: Thread) -> Shape:
    return {
        "thread_id": shown.id,
        "assistant_id": shown.assistant_id,
        "name": shown.name,
        "updated_at": _instant(shown.updated_at),
        "user_id": shown.user_id,
    }


def message(said: Said) -> Shape:
    """What a run said is the end of an agent's work, and says so."""
    content = _content(said.content)
    if said.role == "user":
        return {"content": content, "additional_kwargs": {}, "type": "human", "example": False}
    finish = {"return_values": {"output": content}, "log": content, "type": "AgentFinish"}
    return _ai(content, {"agent": finish} if said.run_id else {})


def partial(text: str) -> Shape:
    """A message that is still being said."""
    return _ai(text, {})


def _ai(content: Any, additional: Shape) -> Shape:
    return {"content": content, "additional_kwargs": additional, "type": "ai", "example": False}


def _content(parts: list[Shape]) -> Any:
    """A string where there is only text, as nearly always."""
    shown = [_part(part) for part in parts]
    if all(part["type"] == "text" for part in shown):
        return "\n".join(part["text"] for part in shown)
    return shown


def _part(part: Shape) -> Shape:
    if part["type"] == "text":
        return {"type": "text", "text": part["text"]["value"]}
    if part["type"] == "refusal":
        return {"type": "text", "text": part["refusal"]}
    return part


def _instant(at: datetime) -> str:
    """ISO 8601 in UTC without saying so, as OpenGPTs had it."""
    return at.replace(tzinfo=None).isoformat(timespec="microseconds")
