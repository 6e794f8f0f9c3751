"""Messages on the wire."""

from typing import Any

from marshmallow import fields

from api.openai.schemas.answers import Answer, UnixTime
from api.openai.schemas.faults import check_length, refuse
from api.openai.schemas.fields import ByType, Choice, Id, ListOf, Metadata, Object, Text, WireSchema
from shared.store.messages import NewMessage, text_part

LONGEST_CONTENT = 256_000
_DETAILS = ("auto", "low", "high")
_ROLES = ("user", "assistant")


class _Image(WireSchema):
    detail = Choice(*_DETAILS, load_default="auto")


class _ImageUrl(_Image):
    url = Text(required=True)


class _ImageFile(_Image):
    file_id = Id("file", required=True)


class _TextPart(WireSchema):
    type = fields.Constant("text", required=True)
    text = Text(required=True, longest=LONGEST_CONTENT)

    def loaded(self, data: dict[str, Any]) -> Any:
        return text_part(data["text"])


class _ImageUrlPart(WireSchema):
    type = fields.Constant("image_url", required=True)
    image_url = Object(_ImageUrl, required=True)


class _ImageFilePart(WireSchema):
    type = fields.Constant("image_file", required=True)
    image_file = Object(_ImageFile, required=True)


PARTS: dict[str, WireSchema] = {
    "text": _TextPart(),
    "image_url": _ImageUrlPart(),
    "image_file": _ImageFilePart(),
}


class Part(ByType):
    """A content part. Loads it as the wire shows it."""

    def __init__(self) -> None:
        super().__init__(PARTS)


_TEXT = Text(longest=LONGEST_CONTENT)


class Content(ListOf):
    """A string, which becomes one text part, or a list of parts."""

    expected = "one of a string or array of objects"

    def __init__(self, **options: Any) -> None:
        super().__init__(Part(), least=1, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> list[Any]:
        if isinstance(value, str):
            _TEXT.deserialize(value)
            if not value:
                raise refuse("invalid_value", "Message content must be non-empty.")
            return [text_part(value)]
        if isinstance(value, list):
            check_length(value, 1, None)
        return super()._deserialize(value, attr, data, **rest)


class _AttachmentTool(WireSchema):
    type = Choice("code_interpreter", "file_search", required=True)


class _Attachment(WireSchema):
    file_id = Id("file", required=True)
    tools = ListOf(Object(_AttachmentTool), required=True)


class CreateMessage(WireSchema):
    """Loads a NewMessage."""

    role = Choice(*_ROLES, required=True)
    content = Content(required=True, metadata={"examples": ["Why is the sky blue?"]})
    attachments = ListOf(Object(_Attachment), load_default=list, allow_none=True)
    metadata = Metadata()

    def loaded(self, data: dict[str, Any]) -> Any:
        return NewMessage(**data)


class ModifyMessage(WireSchema):
    metadata = Metadata()


class Message(Answer):
    id = fields.String()
    object = fields.Constant("thread.message")
    created_at = UnixTime()
    thread_id = fields.String()
    status = Choice("in_progress", "incomplete", "completed")
    incomplete_details = fields.Raw(allow_none=True)
    completed_at = UnixTime(allow_none=True)
    incomplete_at = UnixTime(allow_none=True)
    role = Choice(*_ROLES)
    content = fields.Raw()
    assistant_id = fields.String(allow_none=True)
    run_id = fields.String(allow_none=True)
    attachments = fields.Raw()
    metadata = fields.Raw()
