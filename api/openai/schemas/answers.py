"""What the answers' schemas share."""

from datetime import datetime
from functools import cached_property
from typing import Any

from marshmallow import Schema, fields, missing

# What these tell is stored as they tell it.
_AS_IT_IS = {fields.Boolean, fields.Float, fields.Integer, fields.Raw, fields.String}


def _attribute(obj: Any, name: str, default: Any) -> Any:
    """By its name. marshmallow's own takes paths and indexes, and asks for each what it is."""
    return obj.get(name, default) if isinstance(obj, dict) else getattr(obj, name, default)


class Answer(Schema):
    """What is answered has all of its fields, always."""

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """Most values are told as they are; marshmallow's own would ask the field of each."""
        if self.many if many is None else many:
            return [self.dump(one, many=False) for one in obj]
        values = obj if isinstance(obj, dict) else vars(obj)
        told = {}
        for name, field, as_it_is in self._told:
            if as_it_is and name in values:
                told[name] = values[name]
            elif (value := field.serialize(name, obj, accessor=_attribute)) is not missing:
                told[name] = value
        return told

    @cached_property
    def _told(self) -> list[tuple[str, fields.Field, bool]]:
        return [
            (name, field, type(field) in _AS_IT_IS and field.attribute is None)
            for name, field in self.dump_fields.items()
        ]

    def on_bind_field(self, field_name: str, field_obj: fields.Field) -> None:
        field_obj.required = True


class UnixTime(fields.Field):
    """Instants leave as whole seconds; a fraction breaks typed clients."""

    def _serialize(
        self, value: datetime | None, attr: str | None, obj: Any, **_: Any
    ) -> int | None:
        return None if value is None else int(value.timestamp())
