"""Chat completions, as far as a run can answer them. What it cannot is refused as unknown."""

from typing import Any

from marshmallow import ValidationError, validates_schema

from api.openai.schemas.assistants import EFFORTS
from api.openai.schemas.faults import check_length, refuse
from api.openai.schemas.fields import (
    ByType,
    Choice,
    Decimal,
    Flag,
    ListOf,
    Metadata,
    Object,
    Text,
    Whole,
    WireSchema,
)
from api.openai.schemas.messages import PARTS, Content
from api.openai.schemas.options import ResponseFormat, ToolChoice, Tools
from shared.store.messages import NewMessage
from shared.store.runs import AskedOptions

_SYSTEM = ("system", "developer")


class _Content(Content):
    """Texts, and images by their address."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.inner = ByType({kind: PARTS[kind] for kind in ("text", "image_url")})


class _ChatMessage(WireSchema):
    role = Choice(*_SYSTEM, "user", "assistant", required=True)
    content = _Content(required=True)


class CreateCompletion(WireSchema):
    """Loads `(messages, AskedOptions)`: what the system says first are the run's instructions."""

    model = Text(required=True, longest=256)
    messages = ListOf(Object(_ChatMessage), least=1, required=True)
    temperature = Decimal(least=0, most=2, load_default=1.0, allow_none=True)
    top_p = Decimal(least=0, most=1, load_default=1.0, allow_none=True)
    max_tokens = Whole(least=1, most=2**31 - 1, load_default=None, allow_none=True)
    max_completion_tokens = Whole(least=1, most=2**31 - 1, load_default=None, allow_none=True)
    response_format = ResponseFormat(load_default="auto", allow_none=True)
    tools = Tools(load_default=list, allow_none=True)
    tool_choice = ToolChoice(load_default="auto", allow_none=True)
    parallel_tool_calls = Flag(load_default=True, allow_none=True)
    reasoning_effort = Choice(*EFFORTS, load_default=None, allow_none=True)
    metadata = Metadata()
    n = Whole(least=1, most=1, allow_none=True)
    stream = Flag(allow_none=True)

    @validates_schema(skip_on_field_errors=True)
    def _judge(self, data: dict[str, Any], **_: Any) -> None:
        check_length(data["messages"], 1, None)
        if data.get("stream"):
            raise ValidationError(
                {
                    "stream": refuse(
                        "invalid_value", "A batch does not stream: ", " is refused."
                    ).messages
                }
            )
        begun = False
        for number, message in enumerate(data["messages"]):
            if begun and message["role"] in _SYSTEM:
                fault = refuse(
                    "invalid_value", "What the system says must come first: ", " does not."
                )
                raise ValidationError({"messages": {number: {"role": fault.messages}}})
            begun = begun or message["role"] not in _SYSTEM

    def loaded(self, data: dict[str, Any]) -> Any:
        said = data["messages"]
        instructions = [_text(one["content"]) for one in said if one["role"] in _SYSTEM]
        messages = [
            NewMessage(role=one["role"], content=one["content"], attachments=[], metadata={})
            for one in said
            if one["role"] not in _SYSTEM
        ]
        options = AskedOptions(
            model=data["model"],
            instructions="\n".join(instructions) or None,
            tools=data["tools"],
            tool_resources={},
            metadata=data["metadata"],
            temperature=data["temperature"],
            top_p=data["top_p"],
            max_completion_tokens=data["max_completion_tokens"] or data["max_tokens"],
            tool_choice=data["tool_choice"],
            parallel_tool_calls=data["parallel_tool_calls"],
            response_format=data["response_format"],
            reasoning_effort=data["reasoning_effort"],
        )
        return messages, options


def _text(content: list[dict[str, Any]]) -> str:
    return "\n".join(part["text"]["value"] for part in content if part["type"] == "text")
