"""Models on the wire."""

from marshmallow import fields

from api.openai.schemas.answers import Answer


class Model(Answer):
    id = fields.String()
    object = fields.Constant("model")
    created = fields.Integer()
    owned_by = fields.String()


class ModelList(Answer):
    """Whole, without pages."""

    object = fields.Constant("list")
    data = fields.List(fields.Nested(Model))
