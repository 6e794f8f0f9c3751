"""Threads on the wire."""

from marshmallow import fields

from api.openai.schemas.answers import Answer, UnixTime
from api.openai.schemas.fields import ListOf, Metadata, Object, WireSchema
from api.openai.schemas.messages import CreateMessage
from api.openai.schemas.options import ToolResources


class ModifyThread(WireSchema):
    """Loaded with `partial=True`: what is absent stays."""

    tool_resources = ToolResources()
    metadata = Metadata()


class CreateThread(ModifyThread):
    messages = ListOf(Object(CreateMessage), load_default=list)


class Thread(Answer):
    id = fields.String()
    object = fields.Constant("thread")
    created_at = UnixTime()
    tool_resources = fields.Raw()
    metadata = fields.Raw()
