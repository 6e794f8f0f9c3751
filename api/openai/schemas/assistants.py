"""Assistants on the wire."""

from typing import Any

from marshmallow import fields

from api.openai.schemas.answers import Answer, UnixTime
from api.openai.schemas.fields import Choice, Decimal, Metadata, Text, WireSchema
from api.openai.schemas.options import ResponseFormat, ToolResources, Tools

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class CreateAssistant(WireSchema):
    model = Text(required=True, longest=256, metadata={"examples": ["gpt-4o"]})
    name = Text(longest=256, allow_none=True)
    description = Text(longest=512, allow_none=True)
    instructions = Text(longest=256_000, allow_none=True)
    tools = Tools(load_default=list)
    tool_resources = ToolResources()
    metadata = Metadata()
    temperature = Decimal(least=0, most=2, load_default=1.0, allow_none=True)
    top_p = Decimal(least=0, most=1, load_default=1.0, allow_none=True)
    response_format = ResponseFormat(load_default="auto", allow_none=True)
    reasoning_effort = Choice(*EFFORTS, allow_none=True)


class ModifyAssistant(CreateAssistant):
    """Loaded with `partial=True`: what is absent stays."""


class Assistant(Answer):
    id = fields.String()
    object = fields.Constant("assistant")
    created_at = UnixTime()
    name = fields.String(allow_none=True)
    description = fields.String(allow_none=True)
    model = fields.String()
    instructions = fields.String(allow_none=True)
    tools = fields.Raw()
    tool_resources = fields.Raw()
    metadata = fields.Raw()
    temperature = fields.Float()
    top_p = fields.Float()
    response_format: Any = fields.Raw()
    reasoning_effort = Choice(*EFFORTS, allow_none=True)
