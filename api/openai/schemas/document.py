"""What the OpenAPI document says of the wire's fields: types, limits, choices, alternatives.

`wire_properties` is an attribute function of apispec. It asks for a field's own properties by its
type. An answer's raw fields hold JSON as it is stored: what a caller gave is described by the field
of the request that took it, the rest by name in `shapes.py`.
"""

from copy import copy
from functools import singledispatch
from typing import Any

from marshmallow import Schema, fields, missing

from api.openai.schemas.answers import UnixTime
from api.openai.schemas.assistants import CreateAssistant
from api.openai.schemas.fields import (
    Attributes,
    ByType,
    Choice,
    Decimal,
    Id,
    Json,
    ListOf,
    Metadata,
    Text,
    Whole,
    WireSchema,
)
from api.openai.schemas.files import FormFile
from api.openai.schemas.messages import LONGEST_CONTENT, Content, CreateMessage
from api.openai.schemas.options import ResponseFormat, ToolChoice
from api.openai.schemas.runs import CreateRun
from api.openai.schemas.search import MOST_QUERIES, Filter, Query
from api.openai.schemas.shapes import SHAPES

Properties = dict[str, Any]

# The later ones say more of what they share.
_ECHOED: dict[str, fields.Field] = {
    **CreateMessage().fields,
    **CreateRun().fields,
    **CreateAssistant().fields,
}
_KINDS = {bool: "boolean", str: "string", dict: "object"}


def wire_properties(converter: Any, field: fields.Field, ret: Properties) -> Properties:
    """Takes back from `ret` what apispec found and does not hold."""
    own: Properties = _resolved(converter, properties(field))
    if "oneOf" in own or "anyOf" in own:
        _forget(ret, "type", "items", "$ref", "default", "minItems", "maxLength")
    if "oneOf" in own:
        _forget(ret, "anyOf")
    if "oneOf" in own and field.allow_none:
        own["oneOf"] = [*own["oneOf"], {"type": "null"}]
    elif isinstance(own.get("type"), str) and field.allow_none:
        own["type"] = [own["type"], "null"]
    if _has_no_default(field) or ret.get("default", "") is None:
        _forget(ret, "default")
    return own


def _resolved(converter: Any, told: Any) -> Any:
    """With what apispec makes of the schemas and fields in it."""
    if isinstance(told, Schema):
        return converter.resolve_nested_schema(told)
    if isinstance(told, fields.Field):
        return converter.field2property(told)
    if isinstance(told, dict):
        return {name: _resolved(converter, one) for name, one in told.items()}
    return [_resolved(converter, one) for one in told] if isinstance(told, list) else told


def _forget(ret: Properties, *names: str) -> None:
    for name in names:
        ret.pop(name, None)


def _has_no_default(field: fields.Field) -> bool:
    """In a modification what is absent stays as it is."""
    if isinstance(field, fields.Constant):
        return True
    return isinstance(field.parent, WireSchema) and bool(field.parent.partial)


@singledispatch
def properties(_: fields.Field) -> Properties | fields.Field:
    """A field's own, beside what apispec knows of the marshmallow type it extends."""
    return {}


@properties.register
def _(field: Text) -> Properties:
    pattern = None if field.pattern is None else f"^{field.pattern}$"
    return _given(maxLength=field.longest, pattern=pattern)


@properties.register
def _(field: Id) -> Properties:
    return {"maxLength": field.longest, "pattern": f"^{field.prefix}"}


@properties.register
def _(field: Choice) -> Properties:
    return {"enum": [*field.words, None] if field.allow_none else list(field.words)}


@properties.register
def _(_field: FormFile) -> Properties:
    return {"type": "string", "format": "binary"}


@properties.register
def _(field: Whole) -> Properties:
    return _given(minimum=field.least, maximum=field.most)


@properties.register
def _(field: Decimal) -> Properties:
    return _given(minimum=field.least, maximum=field.most)


@properties.register
def _(field: ListOf) -> Properties:
    return _given(minItems=field.least or None, maxItems=field.most)


@properties.register
def _(_field: Json) -> Properties:
    return {"type": "object"}


@properties.register
def _(_field: Metadata) -> Properties:
    return {
        "description": "Pairs of your own: keys to 64 characters, values to 512.",
        "maxProperties": 16,
        "propertyNames": {"maxLength": 64},
        "additionalProperties": {"type": "string", "maxLength": 512},
    }


@properties.register
def _(_field: Attributes) -> Properties:
    values = [{"type": "string", "maxLength": 512}, {"type": "number"}, {"type": "boolean"}]
    return {
        "type": "object",
        "description": "Pairs to search by: keys to 64 characters, values to 512.",
        "maxProperties": 16,
        "propertyNames": {"maxLength": 64},
        "additionalProperties": {"anyOf": values},
    }


@properties.register
def _(field: ByType) -> Properties:
    return {"oneOf": [schema for schema in field.schemas.values() if schema is not None]}


@properties.register
def _(field: Query) -> Properties:
    one = {"type": "string", "minLength": 1, "maxLength": field.longest}
    several = {"type": "array", "minItems": 1, "maxItems": MOST_QUERIES, "items": one}
    return {"oneOf": [one, several]}


@properties.register
def _(field: Filter) -> Properties:
    joined = {
        "type": "object",
        "description": "Several filters, which may be joined ones too.",
        "properties": {
            "type": {"type": "string", "enum": ["and", "or"]},
            "filters": {"type": "array", "minItems": 1, "items": {"type": "object"}},
        },
        "required": ["type", "filters"],
    }
    return {"anyOf": [field.schema, joined]}


@properties.register
def _(_field: UnixTime) -> Properties:
    return {"type": "integer", "description": "Unix time in seconds."}


@properties.register
def _(field: fields.Constant) -> Properties:
    return {"type": _KINDS[type(field.constant)], "const": field.constant}


@properties.register
def _(field: fields.Function) -> Properties:
    return SHAPES[_shape_of(field)]


@properties.register
def _(field: Content) -> Properties:
    parts = {"type": "array", "minItems": 1, "items": field.inner}
    return {"oneOf": [{"type": "string", "minLength": 1, "maxLength": LONGEST_CONTENT}, parts]}


@properties.register
def _(field: ResponseFormat) -> Properties:
    return {"oneOf": [{"type": "string", "const": "auto"}, field.schema]}


@properties.register
def _(field: ToolChoice) -> Properties:
    return {"oneOf": [{"type": "string", "enum": list(field.words)}, field.schema]}


@properties.register
def _(field: fields.Raw) -> Properties | fields.Field:
    if isinstance(field.parent, WireSchema) or not isinstance(field.parent, Schema):
        return {}
    shape = _shape_of(field)
    return SHAPES[shape] if shape in SHAPES else _echoed(str(field.name))


def _shape_of(field: fields.Field) -> str:
    name = f"{type(field.parent).__name__}.{field.name}"
    return name if name in SHAPES else str(field.name)


def _echoed(name: str) -> fields.Field:
    """As the request's field, but in an answer nothing is left to default."""
    asked = copy(_ECHOED[name])
    asked.allow_none = False
    asked.load_default = missing
    return asked


def _given(**limits: Any) -> Properties:
    return {name: limit for name, limit in limits.items() if limit is not None}
