"""Models on the wire."""

from marshmallow import Schema, fields


class Model(Schema):
    id = fields.String()
    object = fields.Constant("model")
    created = fields.Integer()
    owned_by = fields.String()


class ModelList(Schema):
    """Whole, without pages."""

    object = fields.Constant("list")
    data = fields.List(fields.Nested(Model))
