"""The dialect's Blueprint: authenticates, judges ids in the path, reads bodies as the wire does.

The order of checks is the wire's: key, limit, beta header, JSON, arguments, lookup, state.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

import flask_smorest
import orjson
from flask import request
from marshmallow import ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import ClientDisconnected

from api import current, received, repeats
from api.auth import authenticate
from api.errors import UNPARSABLE
from api.limits import count_request
from api.openai.schemas.faults import Fault, first_fault, wrong_prefix
from api.runtime import runtime
from shared.errors import Invalid, NotFound
from shared.ids import PREFIXES, is_wellformed

_NOUNS = {"message_id": "message", "run_id": "run", "step_id": "run step"}
_BETA = "assistants=v2"
_NO_BETA = (
    "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by"
    f" setting the header 'OpenAI-Beta: {_BETA}'."
)


class _Parser(FlaskParser):
    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: Any, schema: Any) -> Any:  # noqa: ARG002 - the signature is webargs'
        """Any content type, and an empty body means `{}`: clients send both."""
        try:
            body = received.body()
            repeats.remember(body)
            return orjson.loads(body) if body else {}
        except (orjson.JSONDecodeError, ClientDisconnected):
            raise Invalid(UNPARSABLE) from None

    def load_querystring(self, req: Any, schema: Any) -> Any:
        if not req.query_string:
            return {}
        try:
            return super().load_querystring(req, schema)
        except UnicodeDecodeError:
            raise Invalid("The query string is not valid UTF-8.") from None

    def handle_error(self, error: ValidationError, *_: Any, **__: Any) -> NoReturn:
        raise first_fault(error.messages_dict.get("json") or error.messages_dict["query"])


class Blueprint(flask_smorest.Blueprint):
    ARGUMENTS_PARSER = _Parser()

    def __init__(self, name: str, description: str = "", *, beta: bool = True) -> None:
        """`beta`: these calls may be asked for the `OpenAI-Beta` header."""
        super().__init__(name, f"api.openai.{name}", description=description)
        self.before_request(authenticate)
        self.before_request(count_request)
        if beta:
            self.before_request(_demand_beta)
        self.before_request(_judge_path_ids)


def _demand_beta() -> None:
    """Tolerant unless the settings say otherwise. Azure's clients do not know the header."""
    if not runtime().settings.strict_beta or request.path.startswith("/openai/"):
        return
    given = request.headers.get("OpenAI-Beta", "").split(",")
    if _BETA not in (beta.strip() for beta in given):
        raise Invalid(_NO_BETA, code="invalid_beta")


def _judge_path_ids() -> None:
    """A wrong prefix is a 400; what no id can look like does not exist."""
    path: Mapping[str, str] = current.asked().view_args or {}
    for name, text in path.items():
        prefix = PREFIXES.get(name)
        if prefix is None:
            continue
        if not text.startswith(prefix):
            raise Fault("invalid_value", "Invalid ", wrong_prefix(text, prefix)).at(name)
        if not is_wellformed(text):
            noun = _NOUNS.get(name, name.removesuffix("_id"))
            raise NotFound(f"No {noun} found with id '{text}'.")
