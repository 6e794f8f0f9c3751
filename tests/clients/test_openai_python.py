"""openai-python's event handlers, in the first release that has them and in the one we lock.

The first, 1.14.0, still says `OpenAI-Beta: assistants=v1`, which Treadle does not mind unless it is
told to. Both run the same program.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.clients import conversation, environments
from tests.clients.conftest import Run
from tests.model_server import ModelServer

pytestmark = pytest.mark.timeout(600)  # the first time, packages are installed

FIRST, LOCKED = "1.14.0", version("openai")
PROGRAM = str(Path(__file__).parent / "openai_python" / "program.py")


@pytest.fixture(scope="module", params=[FIRST, LOCKED])
def release(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def python(release: str) -> str:
    return environments.python("openai_python") if release == FIRST else sys.executable


@pytest.mark.parametrize("way", ["talk", "talk_async"])
def test_the_handlers_hear_two_calls_in_one_turn_the_answer_and_that_to_a_second_message(
    release: str, python: str, way: str, run: Run, model_server: ModelServer
) -> None:
    conversation.rehearse(model_server)
    assert conversation.joined(run(python, PROGRAM, way)) == [
        ["openai", release],
        ["call", "weather"],
        ["call delta", '{"city": "Rome"}'],
        ["call done", '{"city": "Rome"}', None],
        ["call", "weather"],
        ["call delta", '{"city": "Oslo"}'],
        # The handler submits the outputs when it hears `requires_action`: a stream inside the stream.
        ["step done", "tool_calls", "completed"],
        ["text"],
        ["text delta", "Rome is nicer.", "Rome is nicer."],
        ["text done", "Rome is nicer."],
        ["message done", "assistant", "completed", "Rome is nicer."],
        ["step done", "message_creation", "completed"],
        ["end", "completed"],
        ["call done", '{"city": "Oslo"}', None],
        ["end", "requires_action"],
        ["run", "requires_action"],
        ["texts", "Yes it is."],
        ["final run", "completed", 18],
        ["final messages", ["Yes it is."]],
        ["final steps", ["message_creation"]],
        ["thread", conversation.THREAD],
    ]
    assert conversation.prompts(model_server) == conversation.PROMPTS


def test_a_failed_run_ends_its_stream_without_an_exception_and_tells_why(
    release: str, python: str, run: Run, model_server: ModelServer
) -> None:
    conversation.refuse(model_server)
    assert run(python, PROGRAM, "fail") == [
        ["openai", release],
        ["end", "failed"],
        ["run", *conversation.FAILURE],
        ["no messages", "No messages found"],
        ["refused", 400, conversation.REFUSAL],
    ]


def test_a_list_of_more_than_a_page_is_read_to_its_end(release: str, python: str, run: Run) -> None:
    assert run(python, PROGRAM, "page") == [
        ["openai", release],
        ["newest first", [*reversed(range(45))]],
        ["oldest first", [*range(45)]],
        ["newest first", [*reversed(range(45))]],
    ]
