"""What the OpenAPI document promises, asked of every operation with data made from the document."""

import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from shared.db import Database
from tests.conftest import Caller
from tests.integration.wire import a_world

# Not `negative_data_rejection`: the wire overlooks unknown query arguments, and so do we.
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]


def test_every_operation_keeps_what_the_document_says(
    app: Flask, database: Database, caller: Caller
) -> None:
    headers = {"Authorization": f"Bearer {caller.secret}"}
    ids = a_world(database, caller.project_id)

    def ask(case: Case) -> None:
        _point_at(case, ids)
        case.call_and_validate(headers=headers, checks=CHECKS)

    careful = settings(
        max_examples=8,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    for result in schemathesis.openapi.from_wsgi("/openapi.json", app).get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        if operation.path.endswith("/events"):
            continue  # a stream of a run that nobody works on does not end
        for mode in GenerationMode:
            careful(given(case=operation.as_strategy(generation_mode=mode))(ask))()


def _point_at(case: Case, ids: dict[str, str]) -> None:
    """At objects that exist, which a deletion must not take from the others; and at no stream."""
    names = case.path_parameters or {}
    if case.method != "DELETE":
        case.path_parameters = {**names, **{name: ids[name] for name in names if name in ids}}
    if isinstance(case.body, dict) and case.body.get("stream") is True:
        case.body["stream"] = False
