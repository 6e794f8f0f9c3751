"""openai-node's stream and poll helpers, in the newest release."""

import json
from functools import partial
from pathlib import Path

import pytest

from tests.clients import conversation, environments
from tests.clients.conftest import Run
from tests.model_server import ModelServer

pytestmark = pytest.mark.timeout(600)  # the first time, packages are installed

PROGRAM = str(Path(__file__).parent / "openai_node" / "program.js")
A_LINE = {
    "custom_id": "One?",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "gpt-4-turbo", "messages": [{"role": "user", "content": "One?"}]},
}
VERSION = ["openai", "7.55.0"]


@pytest.fixture(scope="module")
def node() -> tuple[str, Path]:
    return environments.node("openai_node")


@pytest.fixture
def program(node: tuple[str, Path], run: Run) -> Run:
    return partial(run, node[0], PROGRAM, NODE_PATH=str(node[1]))


def test_the_stream_helper_hears_two_calls_in_one_turn_the_answer_and_that_to_a_second_message(
    program: Run, model_server: ModelServer
) -> None:
    conversation.rehearse(model_server)
    assert conversation.joined(program("stream")) == [
        VERSION,
        ["call", "weather"],
        ["call delta", '{"city": "Rome"}'],
        ["call done", '{"city": "Rome"}'],
        ["call", "weather"],
        ["call delta", '{"city": "Oslo"}'],
        ["call done", '{"city": "Oslo"}'],
        ["end"],
        ["run", "requires_action"],
        ["step done", "tool_calls", "completed"],
        ["text"],
        ["text delta", "Rome is nicer.", "Rome is nicer."],
        ["text done", "Rome is nicer."],
        ["message done", "completed", "Rome is nicer."],
        ["step done", "message_creation", "completed"],
        ["end"],
        ["run", "completed"],
        [
            "events",
            [
                "thread.run.created",
                "thread.run.queued",
                "thread.run.in_progress",
                "thread.run.step.created",
                "thread.run.step.in_progress",
                "thread.message.created",
                "thread.message.in_progress",
                "thread.message.delta",
                "thread.message.completed",
                "thread.run.step.completed",
                "thread.run.completed",
            ],
        ],
        ["final run", 18],
        ["final messages", ["Yes it is."]],
        ["final steps", ["completed"]],
        ["thread", conversation.THREAD],
    ]
    assert conversation.prompts(model_server) == conversation.PROMPTS


def test_the_poll_helpers_lead_the_same_conversation(
    program: Run, model_server: ModelServer
) -> None:
    conversation.rehearse(model_server)
    assert program("poll") == [
        VERSION,
        ["run", "requires_action"],
        ["run", "completed"],
        ["run", "completed"],
        ["thread", conversation.THREAD],
    ]
    assert conversation.prompts(model_server) == conversation.PROMPTS


def test_a_failed_run_ends_poll_and_stream_without_an_exception_and_tells_why(
    program: Run, model_server: ModelServer
) -> None:
    conversation.refuse(model_server)
    assert program("fail") == [
        VERSION,
        ["polled", *conversation.FAILURE],
        ["end"],
        ["streamed", *conversation.FAILURE],
        ["final messages", []],
        ["refused", "BadRequestError", f"400 {conversation.REFUSAL}"],
    ]


def test_a_list_of_more_than_a_page_is_read_to_its_end(program: Run) -> None:
    assert program("page") == [
        VERSION,
        ["newest first", [*reversed(range(45))]],
        ["oldest first", [*range(45)]],
        ["pages", [7, 7, 7, 7, 7, 7, 3]],
    ]


def test_a_file_becomes_a_batch_and_its_answers_a_file(program: Run) -> None:
    size = len(json.dumps(A_LINE, separators=(",", ":"))) * 2 + 1
    assert program("batch") == [
        VERSION,
        ["file", "né.jsonl", size, 3600],
        ["batch", "completed", {"total": 2, "completed": 2, "failed": 0}],
        ["One?", "You said: One?"],
        ["Two?", "You said: Two?"],
    ]
