"""Agents of other people's frameworks.

LangChain's is a runnable, whose tools the AgentExecutor around it runs; it waits by plain GETs.
AutoGen's is asynchronous and runs its tools by itself.
"""

from pathlib import Path

import pytest

from tests.clients import conversation, environments
from tests.clients.conftest import Run
from tests.model_server import ModelServer

pytestmark = pytest.mark.timeout(600)  # the first time, packages are installed

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def langchain() -> tuple[str, str]:
    return environments.python("langchain"), str(HERE / "langchain" / "program.py")


@pytest.fixture(scope="module")
def autogen() -> tuple[str, str]:
    return environments.python("autogen"), str(HERE / "autogen" / "program.py")


def test_a_langchain_agent_answers_with_its_tools_and_remembers(
    langchain: tuple[str, str], run: Run, model_server: ModelServer
) -> None:
    conversation.rehearse(model_server)
    assert run(*langchain, "talk") == [
        ["versions", "1.0.8", "1.109.1"],
        ["tool", "Rome"],
        ["tool", "Oslo"],
        ["output", "Rome is nicer."],
        ["output", "Yes it is."],
        ["messages", ["You said: Oslo?"]],
    ]
    assert conversation.prompts(model_server)[:3] == conversation.PROMPTS


def test_langchain_raises_what_a_failed_run_tells(
    langchain: tuple[str, str], run: Run, model_server: ModelServer
) -> None:
    conversation.refuse(model_server)
    assert run(*langchain, "fail") == [
        ["versions", "1.0.8", "1.109.1"],
        ["raised", "Unexpected run status: failed. Full run info:", *conversation.FAILURE],
    ]


def test_an_autogen_agent_answers_with_its_tools_remembers_and_forgets_on_reset(
    autogen: tuple[str, str], run: Run, model_server: ModelServer
) -> None:
    conversation.rehearse(model_server)
    assert run(*autogen, "talk") == [
        ["versions", "0.7.5", "2.54.0"],
        ["tool", "Rome"],
        ["tool", "Oslo"],
        ["events", ["ToolCallRequestEvent", "ToolCallExecutionEvent"]],
        ["output", "Rome is nicer."],
        ["output", "Yes it is."],
        ["output", "You said: Who is there?"],
        ["assistant", "No assistant found with id 'asst_…'."],
    ]
    asked = conversation.prompts(model_server)
    assert asked[:3] == conversation.PROMPTS
    assert [message["role"] for message in asked[3]] == ["system", "user"]


def test_autogen_raises_what_a_failed_run_tells(
    autogen: tuple[str, str], run: Run, model_server: ModelServer
) -> None:
    conversation.refuse(model_server)
    _, code, message = conversation.FAILURE
    assert run(*autogen, "fail") == [
        ["versions", "0.7.5", "2.54.0"],
        ["raised", f"Run failed: LastError(code='{code}', message='{message}')"],
    ]
