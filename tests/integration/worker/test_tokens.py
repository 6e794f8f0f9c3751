"""Tokens counted by the model server, or estimated where it does not count."""

from dataclasses import replace
from typing import Any

import pytest

from api import operations
from api.run_requests import RunRequest
from shared.db import Database
from shared.settings import Settings
from shared.store.runs import Run
from shared.tokens import estimate
from tests.conftest import Caller
from tests.factories import a_message, an_assistant
from tests.model_server import Handler, ModelServer, Reply, fail, send
from worker.bell import Bell
from worker.tokens import Tokens

QUESTIONS = ["word " * 60 + str(number) for number in range(10)]


def a_long_run(database: Database, caller: Caller) -> Run:
    """Of 10 messages of 61 words; four of those are fewer than 300 words, or bytes enough for two."""
    assistant = an_assistant(database, caller.project_id, instructions=None)
    with database.transaction() as tx:
        thread = operations.create_thread(
            tx,
            caller.project_id,
            messages=[a_message(question) for question in QUESTIONS],
            tool_resources={},
            metadata={},
        )
        request = RunRequest(assistant_id=assistant.id, max_prompt_tokens=300)
        return operations.start_run(tx, caller.project_id, thread.id, request, 600)


def count_words(asked: list[dict[str, Any]], *, name: str, tokens: bool) -> Reply:
    """Reads the text under that name and answers with the tokens themselves, or with their number."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        asked.append(body)
        words = body[name].split()
        handler.send_json(200, {"tokens": words} if tokens else {"count": len(words)})

    return reply


@pytest.mark.parametrize(("name", "tokens"), [("content", True), ("prompt", False)])
def test_a_model_server_that_counts_tokens_is_asked_which_messages_fit(
    worker: Bell,
    database: Database,
    caller: Caller,
    model_server: ModelServer,
    name: str,
    tokens: bool,
) -> None:
    asked: list[dict[str, Any]] = []
    model_server.tokenize = count_words(asked, name=name, tokens=tokens)
    a_long_run(database, caller)
    worker.answer()
    told = [message["content"] for message in model_server.requests[0]["messages"]]
    assert told == [QUESTIONS[0], *QUESTIONS[-3:]]
    assert {body["model"] for body in asked} == {"gpt-4o"}


def test_where_the_model_server_does_not_count_tokens_are_estimated(
    worker: Bell, database: Database, caller: Caller, model_server: ModelServer
) -> None:
    a_long_run(database, caller)
    worker.answer()
    told = [message["content"] for message in model_server.requests[0]["messages"]]
    assert told == [QUESTIONS[0], QUESTIONS[-1]]


@pytest.mark.parametrize(
    "answer", [fail(404), fail(500), send(b"<html>"), send(b"[1, 2]"), send(b'{"count": "3"}')]
)
def test_a_model_server_that_cannot_count_is_left_alone_for_a_while(
    settings: Settings, model_server: ModelServer, answer: Reply
) -> None:
    asked: list[dict[str, Any]] = []

    def refuse(handler: Handler, body: dict[str, Any]) -> None:
        asked.append(body)
        answer(handler, body)

    model_server.tokenize = refuse
    tokens = Tokens(replace(settings, models={"gpt-4o": "qwen3"}))
    count = tokens.of("gpt-4o")
    assert [count("x" * 90), count("y" * 90)] == [estimate("x" * 90)] * 2
    assert [body["model"] for body in asked] == ["qwen3"]
    tokens.close()
