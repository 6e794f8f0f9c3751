"""The dialect's Blueprint: identifies the caller, reads bodies as FastAPI does."""

from typing import Any, NoReturn

import flask_smorest
import orjson
from marshmallow import ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import ClientDisconnected

from api import received
from api.limits import count_request
from api.opengpts import errors
from api.opengpts.faults import Detail, UnprocessableError, unprocessable
from api.opengpts.identity import identify


class _Parser(FlaskParser):
    DEFAULT_VALIDATION_STATUS = 422

    def load_json(self, req: Any, schema: Any) -> Any:  # noqa: ARG002 - the signature is webargs'
        """Only what says that it is JSON: a form of some web page cannot say so, and here a
        request may need no key."""
        try:
            body = received.body()
            if not body:
                raise UnprocessableError([Detail.at("body")])
            if not req.is_json:
                raise _no_object()
            return _object(orjson.loads(body))
        except orjson.JSONDecodeError as error:
            detail = Detail(("body", error.pos), error.msg, "value_error.jsondecode")
            raise UnprocessableError([detail]) from None
        except ClientDisconnected:
            raise UnprocessableError([Detail.at("body")]) from None

    def handle_error(self, error: ValidationError, *_: Any, **__: Any) -> NoReturn:
        raise unprocessable("body", error.messages_dict["json"])


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise _no_object()
    return body


def _no_object() -> UnprocessableError:
    return UnprocessableError([Detail(("body",), "value is not a valid dict", "type_error.dict")])


class Blueprint(flask_smorest.Blueprint):
    ARGUMENTS_PARSER = _Parser()

    def __init__(self, name: str, *, identified: bool = True) -> None:
        super().__init__(f"opengpts-{name}", f"api.opengpts.{name}")
        if identified:
            self.before_request(identify)
            self.before_request(count_request)
        errors.register(self)
