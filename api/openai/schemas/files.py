"""Files on the wire."""

from typing import Any

from marshmallow import ValidationError, fields, validates_schema

from api.openai.schemas.answers import Answer, UnixTime
from api.openai.schemas.faults import REQUIRED, Fault, check_text, wrong_type
from api.openai.schemas.fields import Choice, QueryWhole, Text, WireSchema
from api.uploads import FormFile as ReceivedFile

PURPOSES = ("fine-tune", "assistants", "batch", "user_data", "vision", "evals")
# By purpose, unless the caller says otherwise.
_LIVES = {"batch": 30 * 86400}
LEAST_LIFE, LONGEST_LIFE = 3600, 30 * 86400
LONGEST_NAME = 512


class FormFile(Text):
    """Of a multipart form: loads the file's name."""

    expected = "a file"

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> str:
        if not isinstance(value, ReceivedFile):
            raise wrong_type(self.expected, value)
        if not value.filename:
            raise ValidationError(self.error_messages["required"])
        check_text(value.filename, LONGEST_NAME)
        return value.filename


class _Purpose(Choice):
    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> str:
        if isinstance(value, str) and value not in self.words:
            message = f"{value!r} is not one of {list(self.words)!r} - 'purpose'"
            raise ValidationError([Fault(None, message)])
        return super()._deserialize(value, attr, data)


class CreateFile(WireSchema):
    """Of a multipart form, so that its values are text. Loads what a `NewFile` has of them."""

    file = FormFile(required=True)
    purpose = _Purpose(*PURPOSES, required=True)
    anchor = Choice("created_at", data_key="expires_after[anchor]")
    seconds = QueryWhole(least=LEAST_LIFE, most=LONGEST_LIFE, data_key="expires_after[seconds]")

    @validates_schema(skip_on_field_errors=True)
    def _both(self, data: dict[str, Any], **_: Any) -> None:
        for given, missing in (("anchor", "seconds"), ("seconds", "anchor")):
            if given in data and missing not in data:
                raise ValidationError({f"expires_after[{missing}]": [REQUIRED]})

    def loaded(self, data: dict[str, Any]) -> Any:
        life = data.get("seconds", _LIVES.get(data["purpose"]))
        return {"filename": data["file"], "purpose": data["purpose"], "life_seconds": life}


class File(Answer):
    id = fields.String()
    object = fields.Constant("file")
    bytes = fields.Integer(attribute="size")
    created_at = UnixTime()
    expires_at = UnixTime(allow_none=True)
    filename = fields.String()
    purpose = Choice(*PURPOSES, "assistants_output", "batch_output", "fine-tune-results")
    status = fields.Constant("processed")
    status_details = fields.Function(lambda _: None)
