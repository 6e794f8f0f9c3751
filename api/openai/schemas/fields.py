"""The wire's field types: strict about JSON types, where marshmallow's own would convert."""

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, missing, post_load

from api.openai.schemas.faults import (
    REQUIRED,
    UNKNOWN,
    Fault,
    check_json,
    check_length,
    check_range,
    check_text,
    not_built,
    refuse,
    wrong_choice,
    wrong_prefix,
    wrong_type,
)


class WireSchema(Schema):
    """Refuses unknown arguments. A null for an argument with a default means the default."""

    error_messages: dict[str, Any] = {  # noqa: RUF012 - marshmallow's way
        "unknown": UNKNOWN,
        "type": Fault(None, "The body must be a JSON object."),
    }

    def loaded(self, data: dict[str, Any]) -> Any:
        """What a load gives; here the arguments by name."""
        return data

    @post_load
    def _finish(self, data: dict[str, Any], **_: Any) -> Any:
        for name, field in self.load_fields.items():
            if name in data and data[name] is None and field.load_default is not missing:
                default = field.load_default
                data[name] = default() if callable(default) else default
        return self.loaded(data)


class _Typed(fields.Field):
    """What every field here shares: the wording for absent and null."""

    expected = "a value"
    default_error_messages: dict[str, Any] = {"required": [REQUIRED]}  # noqa: RUF012 - marshmallow's way

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.error_messages["null"] = wrong_type(self.expected, None).messages


class Text(_Typed, fields.String):
    expected = "a string"

    def __init__(
        self, *, longest: int | None = None, pattern: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.longest = longest
        self.pattern = pattern

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> str:
        if not isinstance(value, str):
            raise wrong_type(self.expected, value)
        check_text(value, self.longest)
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            raise refuse(
                "invalid_value",
                "Invalid ",
                ": string does not match pattern. Expected a string that matches the pattern"
                f" '^{self.pattern}$'.",
            )
        return value


class Id(Text):
    """An id in a body: only its prefix is judged, as the wire does."""

    def __init__(self, prefix: str, **options: Any) -> None:
        super().__init__(longest=200, **options)
        self.prefix = prefix

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> str:
        text = super()._deserialize(value, attr, data)
        if not text.startswith(self.prefix):
            raise refuse("invalid_value", "Invalid ", wrong_prefix(text, self.prefix))
        return text


class Choice(Text):
    def __init__(self, *words: str, **options: Any) -> None:
        super().__init__(**options)
        self.words = words

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> str:
        text = super()._deserialize(value, attr, data)
        if text not in self.words:
            raise wrong_choice(text, self.words)
        return text


class Whole(_Typed, fields.Integer):
    expected = "an integer"

    def __init__(
        self, *, least: int | None = None, most: int | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.least = least
        self.most = most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong_type(self.expected, value)
        check_range("integer", value, self.least, self.most)
        return value


class QueryWhole(Whole):
    """An integer in a query string: ASCII digits, and not everything that int() takes."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> int:
        if not re.fullmatch(r"-?[0-9]{1,30}", value, re.ASCII):
            raise wrong_type(self.expected, value)
        return super()._deserialize(int(value), attr, data)


class Decimal(_Typed, fields.Float):
    expected = "a decimal number"

    def __init__(self, *, least: float, most: float, **options: Any) -> None:
        super().__init__(**options)
        self.least = least
        self.most = most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise wrong_type(self.expected, value)
        check_range("decimal", value, self.least, self.most)
        return float(value)


class Flag(_Typed, fields.Boolean):
    expected = "a boolean"

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> bool:
        if not isinstance(value, bool):
            raise wrong_type(self.expected, value)
        return value


class Object(_Typed, fields.Nested):
    """A nested object of a schema of its own."""

    expected = "an object"

    def _deserialize(self, value: Any, attr: str | None, data: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, dict):
            raise wrong_type(self.expected, value)
        # Only the outermost object of a modification is partial.
        return super()._deserialize(value, attr, data, partial=False)


class ByType(Object):
    """An object whose `type` says which schema applies; None stands for one that is not built."""

    def __init__(self, schemas: Mapping[str, WireSchema | None]) -> None:
        super().__init__(next(schema for schema in schemas.values() if schema is not None))
        self.schemas = schemas

    def _deserialize(self, value: Any, attr: str | None, data: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, dict):
            raise wrong_type(self.expected, value)
        if "type" not in value:
            raise ValidationError({"type": self.error_messages["required"]})
        kind = value["type"]
        if not isinstance(kind, str):
            raise ValidationError({"type": wrong_type("a string", kind).messages})
        if kind not in self.schemas:
            raise ValidationError({"type": wrong_choice(kind, tuple(self.schemas)).messages})
        schema = self.schemas[kind]
        if schema is None:
            raise ValidationError({"type": [not_built(f"the tool {kind}")]})
        return schema.load(value)


class ListOf(_Typed, fields.List):
    expected = "an array"

    def __init__(
        self, inner: fields.Field, *, least: int = 0, most: int | None = None, **options: Any
    ) -> None:
        super().__init__(inner, **options)
        self.least = least
        self.most = most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> list[Any]:
        if not isinstance(value, list):
            raise wrong_type(self.expected, value)
        check_length(value, self.least, self.most)
        return super()._deserialize(value, attr, data, **options)


class Json(_Typed, fields.Raw):
    """Any JSON object: stored and handed on, never looked into. Bounded in depth."""

    expected = "an object"

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise wrong_type(self.expected, value)
        check_json(value)
        return value


class Metadata(_Typed, fields.Dict):
    """At most 16 pairs of strings, keys to 64 characters and values to 512."""

    expected = "an object"

    def __init__(self, **options: Any) -> None:
        super().__init__(load_default=dict, allow_none=True, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise wrong_type(self.expected, value)
        if len(value) > 16:
            raise refuse(
                "object_above_max_properties",
                "Invalid ",
                ": too many properties. Expected an object with at most 16 properties,"
                f" but got an object with {len(value)} properties instead.",
            )
        for key, one in value.items():
            check_text(key, 64)
            try:
                self.check_value(one)
            except ValidationError as error:
                raise ValidationError({key: error.messages}) from None
        return value

    def check_value(self, value: Any) -> None:
        if not isinstance(value, str):
            raise wrong_type("a string", value)
        check_text(value, 512)


class Attributes(Metadata):
    """As metadata, of numbers and booleans too. Null, or nothing, is told from an empty object."""

    def __init__(self, **options: Any) -> None:
        super(Metadata, self).__init__(allow_none=True, **options)

    def check_value(self, value: Any) -> None:
        if value is None or isinstance(value, dict | list):
            raise wrong_type("one of a string, a number or a boolean", value)
        if isinstance(value, str):
            check_text(value, 512)
