"""What callers ask of a run, and what becomes of it beside the assistant's settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.store.assistants import Assistant
from shared.store.messages import NewMessage
from shared.store.runs import RunOptions


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What a caller asks of a run. None means the assistant's setting, or the wire's default."""

    assistant_id: str
    model: str | None = None
    instructions: str | None = None
    additional_instructions: str | None = None
    additional_messages: Sequence[NewMessage] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_resources: dict[str, Any] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    temperature: float | None = None
    top_p: float | None = None
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None
    truncation_strategy: dict[str, Any] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    response_format: Any = None
    reasoning_effort: str | None = None
    stream: bool = False


@dataclass(frozen=True, kw_only=True)
class ToolOutputs:
    """Pairs of call id and output."""

    outputs: Sequence[tuple[str, str | None]]
    stream: bool = False


def resolve(assistant: Assistant, request: RunRequest) -> RunOptions:
    """The request's word where it has one, else the assistant's; 0 and "" are words."""
    instructions = _first(request.instructions, assistant.instructions)
    if request.additional_instructions:
        instructions = "\n".join(filter(None, (instructions, request.additional_instructions)))
    return RunOptions(
        model=_first(request.model, assistant.model),
        instructions=instructions,
        tools=_first(request.tools, assistant.tools),
        tool_resources=_first(request.tool_resources, assistant.tool_resources),
        metadata=request.metadata,
        temperature=_first(request.temperature, assistant.temperature),
        top_p=_first(request.top_p, assistant.top_p),
        max_prompt_tokens=request.max_prompt_tokens,
        max_completion_tokens=request.max_completion_tokens,
        truncation_strategy=_first(
            request.truncation_strategy, {"type": "auto", "last_messages": None}
        ),
        tool_choice=_first(request.tool_choice, "auto"),
        parallel_tool_calls=_first(request.parallel_tool_calls, True),
        response_format=_first(request.response_format, assistant.response_format),
        reasoning_effort=_first(request.reasoning_effort, assistant.reasoning_effort),
    )


def _first(asked: Any, otherwise: Any) -> Any:
    return otherwise if asked is None else asked
