"""What all answers on the wire have in common, and the routes that give them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2
from flask import Flask
from marshmallow import Schema

from shared.db import Database
from shared.run_state import RunStatus
from shared.store import claims
from shared.store.runs import Run
from tests.factories import (
    a_batch,
    a_claim,
    a_file,
    a_file_batch,
    a_run,
    a_vector_store,
    an_answer,
    an_assistant,
)
from worker.model import no_usage

HEADERS = {"content-type", "content-length", "x-request-id", "openai-version"} | {
    "openai-processing-ms"
}
OPTIONAL_HEADERS = {"openai-poll-after-ms", "allow", "x-should-retry"}


def call(
    app: Flask,
    secret: str,
    method: str,
    path: str,
    *,
    content: bytes = b"",
    headers: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> httpx2.Response:
    """For what a client library would refuse to send. `path` is quoted as it goes over the wire;
    a byte of a header or of `environ` is the character with its number."""
    answered = app.test_client().open(
        path,
        method=method,
        data=content,
        headers={"Authorization": f"Bearer {secret}", **(headers or {})},
        environ_overrides=dict(environ or {}),
    )
    return httpx2.Response(
        answered.status_code, headers=list(answered.headers), content=answered.get_data()
    )


def error_of(answer: httpx2.Response, status: int = 400) -> dict[str, Any]:
    """The error of a refusal, which must be one."""
    assert answer.status_code == status, answer.text
    assert flaw(answer) is None
    return answer.json()["error"]


def flaw(answer: httpx2.Response) -> str | None:
    """What is wrong with a refusal; None if it is as every refusal should be."""
    if not 400 <= answer.status_code < 500:
        return f"answered {answer.status_code}: {answer.text[:200]}"
    names = set(answer.headers)
    if not HEADERS <= names <= HEADERS | OPTIONAL_HEADERS:
        return f"headers {sorted(names)}"
    if answer.headers["content-type"] != "application/json":
        return f"content type {answer.headers['content-type']}"
    body = answer.json()
    if body.keys() != {"error"} or body["error"].keys() != {"message", "type", "param", "code"}:
        return f"not the envelope: {answer.text[:200]}"
    error = body["error"]
    if error["type"] != "invalid_request_error" or not error["message"]:
        return f"not a refusal: {error}"
    return None


@dataclass(frozen=True)
class Route:
    method: str
    rule: str
    id_names: frozenset[str]
    body: Schema | None
    query: Schema | None  # of a list

    def __str__(self) -> str:
        return f"{self.method} {self.rule}"

    def path(self, ids: Mapping[str, str]) -> str:
        path = self.rule
        for name in self.id_names:
            path = path.replace(f"<{name}>", quote(ids[name], safe=""))
        return path

    @property
    def acts_on_a_waiting_run(self) -> bool:
        return self.rule.endswith(("/cancel", "/submit_tool_outputs"))

    @property
    def takes_a_form(self) -> bool:
        return str(self) == "POST /v1/files"

    @property
    def streams(self) -> bool:
        return self.rule.endswith("/events")


def routes(app: Flask) -> list[Route]:
    """Every route on a project's own objects, one per method."""
    return [
        Route(
            method=method,
            rule=rule.rule,
            id_names=frozenset(rule.arguments),
            body=_schema(app, rule.endpoint, "json"),
            query=_query(app, rule.endpoint),
        )
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/v1/") and not rule.rule.startswith("/v1/models")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def _query(app: Flask, endpoint: str) -> Schema | None:
    query = _schema(app, endpoint, "query")
    return query if query is not None and "limit" in query.load_fields else None


def _schema(app: Flask, endpoint: str, place: str) -> Schema | None:
    arguments = getattr(app.view_functions[endpoint], "_apidoc", {}).get("arguments", {})
    for parameter in arguments.get("parameters", ()):
        if parameter["in"] == place:
            return parameter["schema"]
    return None


def a_world(database: Database, project_id: str, route: Route | None = None) -> dict[str, str]:
    """An assistant and a thread with a message and a run: an id of each kind, by the name it has in
    a path. The run is answered, or as the route needs it."""
    assistant = an_assistant(database, project_id)
    waiting = route is not None and route.acts_on_a_waiting_run
    status = RunStatus.REQUIRES_ACTION if waiting else RunStatus.QUEUED
    run = a_run(database, project_id, assistant_id=assistant.id, status=status)
    if waiting:
        with database.autocommit() as tx:
            message_id = tx.value("SELECT id FROM messages ORDER BY sequence DESC LIMIT 1")
            step_id = tx.value("SELECT id FROM run_steps ORDER BY sequence DESC LIMIT 1")
    else:
        message_id, step_id = answer(database, run)
    read_id = a_file(database, project_id).id
    store_id = a_vector_store(database, project_id, read_id).id
    return {
        "assistant_id": assistant.id,
        "thread_id": run.thread_id,
        "run_id": run.id,
        "message_id": message_id,
        "step_id": step_id,
        "file_id": read_id,
        "vector_store_id": store_id,
        "file_batch_id": a_file_batch(database, project_id, store_id, read_id).id,
        "input_file_id": (file_id := a_file(database, project_id, purpose="batch").id),
        "batch_id": a_batch(database, project_id, file_id).id,
    }


def answer(database: Database, run: Run, *texts: str) -> tuple[str, str]:
    """Completes the run with these messages; the ids of the last one and of its step."""
    with database.transaction() as tx:
        ended = claims.finish(tx, a_claim(tx, run), RunStatus.COMPLETED, no_usage())
        for text in texts or ("Because.",):
            ids = an_answer(tx, ended, text)
    return ids
