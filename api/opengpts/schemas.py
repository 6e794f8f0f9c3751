"""Bodies on this dialect's wire. What is not known in them is ignored, as pydantic does."""

from dataclasses import dataclass
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load

from api.opengpts.faults import MISSING, NULL, Fault, fault
from shared.ids import is_wellformed
from shared.store.messages import NewMessage, text_part

LONGEST_CONTENT = 256_000
LONGEST_NAME = 256
_DEPTH = 64
_ROLES = {"human": "user", "ai": "assistant"}


@dataclass(frozen=True)
class GivenAssistant:
    name: str
    config: dict[str, Any]
    public: bool


@dataclass(frozen=True)
class GivenThread:
    name: str
    assistant_id: str


@dataclass(frozen=True)
class GivenRun:
    assistant_id: str
    thread_id: str
    messages: list[NewMessage]


class _Body(Schema):
    class Meta:
        unknown = EXCLUDE

    error_messages: dict[str, Any] = {  # noqa: RUF012 - marshmallow's way
        "type": Fault("value is not a valid dict", "type_error.dict")
    }


class _Typed(fields.Field):
    default_error_messages: dict[str, Any] = {  # noqa: RUF012 - marshmallow's way
        "required": [MISSING],
        "null": [NULL],
    }


class Text(_Typed, fields.String):
    def __init__(self, *, longest: int, **options: Any) -> None:
        super().__init__(**options)
        self.longest = longest

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> str:
        if not isinstance(value, str):
            raise fault("str type expected", "type_error.str")
        if len(value) > self.longest:
            message = f"ensure this value has at most {self.longest} characters"
            raise fault(message, "value_error.any_str.max_length")
        if "\0" in value:
            raise fault("the character U+0000 is not allowed", "value_error")
        return value


class Id(Text):
    """A name that a client chose."""

    def __init__(self, **options: Any) -> None:
        super().__init__(longest=200, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        text = super()._deserialize(value, attr, data, **options)
        if not is_wellformed(text):
            raise fault("value is not a valid uuid", "type_error.uuid")
        return text


class Flag(_Typed, fields.Boolean):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> bool:
        if not isinstance(value, bool):
            raise fault("value could not be parsed to a boolean", "type_error.bool")
        return value


class Json(_Typed, fields.Raw):
    """Any JSON object, bounded in depth: more than this can be read but not written again."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise fault("value is not a valid dict", "type_error.dict")
        level: list[Any] = [value]
        for _level in range(_DEPTH):
            if any(isinstance(item, str) and "\0" in item for item in level):
                raise fault("the character U+0000 is not allowed", "value_error")
            level = [inner for item in level for inner in _inside(item)]
        if level:
            raise fault(f"nested deeper than {_DEPTH} levels", "value_error")
        return value


def _inside(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    return item if isinstance(item, list) else []


class Object(_Typed, fields.Nested):
    def _deserialize(self, value: Any, attr: str | None, data: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, dict):
            raise fault("value is not a valid dict", "type_error.dict")
        return super()._deserialize(value, attr, data)


class Configurable(Json):
    """A `config` whose `configurable`, if there is one, is an object."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        config = super()._deserialize(value, attr, data, **options)
        if not isinstance(config.get("configurable", {}), dict):
            raise ValidationError(
                {"configurable": [Fault("value is not a valid dict", "type_error.dict")]}
            )
        return config


class Content(Text):
    """A string, or a list of strings and of parts of text or images."""

    def __init__(self, **options: Any) -> None:
        super().__init__(longest=LONGEST_CONTENT, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> Any:
        if not isinstance(value, list):
            return [text_part(super()._deserialize(value, attr, data, **options))]
        return [self._part(part, attr, data) for part in value]

    def _part(self, part: Any, attr: str | None, data: Any) -> dict[str, Any]:
        match part:
            case str(text) | {"type": "text", "text": str(text)}:
                return text_part(super()._deserialize(text, attr, data))
            case {"type": "image_url", "image_url": str(url) | {"url": str(url)}}:
                address = super()._deserialize(url, attr, data)
                return {"type": "image_url", "image_url": {"url": address, "detail": "auto"}}
            case _:
                raise fault("a part must be text or an image_url", "value_error")


class Kind(Text):
    def __init__(self, **options: Any) -> None:
        super().__init__(longest=32, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        text = super()._deserialize(value, attr, data, **options)
        if text not in _ROLES:
            permitted = ", ".join(f"'{word}'" for word in _ROLES)
            raise fault(f"unexpected value; permitted: {permitted}", "value_error.const")
        return text


class Message(_Body):
    """Loads a NewMessage. What a thread can hold is what people and models say."""

    type = Kind(required=True)
    content = Content(required=True)

    @post_load
    def _finish(self, data: dict[str, Any], **_: Any) -> NewMessage:
        return NewMessage(
            role=_ROLES[data["type"]], content=data["content"], attachments=[], metadata={}
        )


class MessagesField(_Typed, fields.List):
    def __init__(self, **options: Any) -> None:
        super().__init__(Object(Message), **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> list[Any]:
        if not isinstance(value, list):
            raise fault("value is not a valid sequence", "type_error.sequence")
        return super()._deserialize(value, attr, data, **options)


class PutAssistant(_Body):
    name = Text(longest=LONGEST_NAME, required=True)
    config = Configurable(required=True)
    public = Flag(load_default=False)

    @post_load
    def _finish(self, data: dict[str, Any], **_: Any) -> GivenAssistant:
        return GivenAssistant(**data)


class PutThread(_Body):
    name = Text(longest=LONGEST_NAME, required=True)
    assistant_id = Id(required=True)

    @post_load
    def _finish(self, data: dict[str, Any], **_: Any) -> GivenThread:
        return GivenThread(**data)


class Messages(_Body):
    messages = MessagesField(required=True)


class Input(_Body):
    messages = MessagesField(load_default=list)


class CreateRun(_Body):
    assistant_id = Id(required=True)
    thread_id = Id(required=True)
    input = Object(Input, required=True)

    @post_load
    def _finish(self, data: dict[str, Any], **_: Any) -> GivenRun:
        return GivenRun(data["assistant_id"], data["thread_id"], data["input"]["messages"])


def described(title: str) -> dict[str, Any]:
    """What a run takes and what it makes, as JSON Schema."""
    message = {
        "type": "object",
        "title": "Message",
        "properties": {
            "content": {"type": "string", "title": "Content"},
            "type": {"enum": list(_ROLES), "title": "Type"},
        },
        "required": ["content", "type"],
    }
    messages = {"type": "array", "title": "Messages", "items": message}
    return {"type": "object", "title": title, "properties": {"messages": messages}}
