"""The OpenAPI document of the whole surface, served at /openapi.json without a key.

flask-smorest gathers it from routes, docstrings and schemas; here stands what these do not say.
"""

from collections.abc import Callable
from typing import Any

import flask_smorest
from apispec import APISpec, BasePlugin
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_cls
from flask import Flask

from api.errors import ErrorEnvelope

FieldProperties = Callable[..., dict[str, Any]]

# What `api/polling.py` reads.
_PREFER = {
    "in": "header",
    "name": "Prefer",
    "description": "`wait=20` holds the answer until the run stops, for 20 seconds at most.",
    "schema": {"type": "string", "examples": ["wait=20"]},
}

_ABOUT = """\
The Assistants API, version 2, on your own machines.

The base URL is `/v1` on this server, and `OPENAI_BASE_URL` and `OPENAI_API_KEY` are what OpenAI's \
clients read by themselves. The same calls answer without `/v1`, and for Azure's clients under \
`/openai` and `/openai/v1`.

The key goes into `Authorization: Bearer …`, or into `api-key` as Azure's clients send it. \
`/docs`, `/openapi.json`, `/healthz` and `/readyz` ask for none.

Every refusal has the same shape: `error.message` says it in a sentence, `error.param` names the \
argument and `error.code` is for programs. Every answer carries an `x-request-id`; \
`x-should-retry: false` says that a repeat is in vain.

A key may have limits: beyond them the answer is 429 with `Retry-After`, and until then \
`x-ratelimit-remaining-requests` tells what is left.

Ours, beyond OpenAI's: with `Prefer: wait=20` a poll of a run is answered when the run stops, or \
when the time is up.
"""


class Document(flask_smorest.Api):
    ERROR_SCHEMA = ErrorEnvelope
    spec: APISpec
    ma_plugin: Any

    def __init__(self, app: Flask) -> None:
        app.config.update(
            API_TITLE="Treadle",
            API_VERSION="v2",
            OPENAPI_VERSION="3.1.0",
            OPENAPI_URL_PREFIX="/",
            API_SPEC_OPTIONS={
                "info": {"description": _ABOUT, "license": {"name": "MIT", "identifier": "MIT"}},
                "security": [{"key": []}],
            },
        )
        plugins = {
            "marshmallow_plugin": MarshmallowPlugin(schema_name_resolver=_schema_name),
            "extra_plugins": [_Operations()],
        }
        super().__init__(app, spec_kwargs=plugins)
        self.spec.components.security_scheme("key", {"type": "http", "scheme": "bearer"})

    def describe_fields(self, properties: FieldProperties) -> None:
        """A dialect's word on its own field types; before its blueprints are registered."""
        self.ma_plugin.converter.add_attribute_function(properties)

    def _register_error_handlers(self) -> None:
        """None of flask-smorest's: `api/errors.py` words every refusal."""

    def _register_pagination_header(self) -> None:
        """Nor its pages: lists carry their cursors in the body."""


class _Operations(BasePlugin):
    """Names each operation as OpenAI's document does, and adds what is told of no view."""

    def init_spec(self, spec: APISpec) -> None:
        self._schemas = spec.components.schemas

    def operation_helper(
        self,
        path: str | None = None,  # noqa: ARG002 - the signature is apispec's
        operations: dict[str, Any] | None = None,
        **told: Any,
    ) -> None:
        view = told["rule"].endpoint.rpartition(".")[2]
        for operation in (operations or {}).values():
            operation["operationId"] = _camel(view)
            body = self._body_of(operation)
            if "requestBody" in operation:
                # An empty body means `{}`.
                operation["requestBody"]["required"] = "required" in body
            if view == "get_run":
                operation.setdefault("parameters", []).append(_PREFER)
            if view == "stream_run" or "stream" in body.get("properties", {}):
                answer = operation["responses"][200].setdefault("content", {})
                answer["text/event-stream"] = {"schema": {"type": "string"}}

    def _body_of(self, operation: dict[str, Any]) -> dict[str, Any]:
        if "requestBody" not in operation:
            return {}
        (media,) = operation["requestBody"]["content"].values()
        schema = media["schema"]
        return self._schemas[schema["$ref"].rpartition("/")[2]]


def _schema_name(schema: Any) -> str:
    resolved: Any = resolve_schema_cls(schema)
    return resolved.__name__.lstrip("_")


def _camel(view: str) -> str:
    first, *rest = view.split("_")
    return first + "".join(word.capitalize() for word in rest)
