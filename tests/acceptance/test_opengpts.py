"""The flow of OpenGPTs' own documentation, through real processes: only the base URL differs."""

import json
from typing import Any

import httpx2
import pytest

from tests.acceptance.conftest import Stack, wait_until
from tests.conftest import Caller
from tests.model_server import ModelServer, say

COOKIES = {"opengpts_user_id": "foo"}


@pytest.fixture
def base_url(caller: Caller, stack: Stack) -> str:
    stack.environment["TREADLE_OPENGPTS_PROJECT"] = caller.project_id
    url = stack.start_api().removesuffix("/v1") + "/opengpts"
    stack.start_worker()
    return url


def send(method: str, url: str, **options: Any) -> bytes:
    return httpx2.request(method, url, cookies=COOKIES, **options).content


def test_the_documented_program_runs(base_url: str, model_server: ModelServer) -> None:
    assistant = json.loads(
        send(
            "PUT",
            f"{base_url}/assistants",
            json={"name": "bar", "config": {"configurable": {}}, "public": True},
        )
    )
    assert (assistant["name"], assistant["public"], assistant["user_id"]) == ("bar", True, "foo")
    made = {"name": "hi", "assistant_id": assistant["assistant_id"]}
    thread = json.loads(send("POST", f"{base_url}/threads", json=made))
    messages = f"{base_url}/threads/{thread['thread_id']}/messages"
    assert send("GET", messages) == b'{"messages":[]}'

    bob = {"content": "hi! my name is bob", "type": "human"}
    send("POST", messages, json={"messages": [bob]})
    assert send("GET", messages) == (
        b'{"messages":[{"content":"hi! my name is bob","additional_kwargs":{},'
        b'"type":"human","example":false}]}'
    )

    def run(*new: dict[str, str]) -> dict[str, Any]:
        return {
            "assistant_id": assistant["assistant_id"],
            "thread_id": thread["thread_id"],
            "input": {"messages": list(new)},
        }

    def said() -> list[str]:
        return [one["content"] for one in json.loads(send("GET", messages))["messages"]]

    model_server.script(say("Hello, Bob! How can I assist you today?"), say("Tu nombre es Bob."))
    send("POST", f"{base_url}/runs", json=run())
    wait_until(lambda: len(said()) == 2, 20, "the answer")
    assert send("GET", messages).endswith(
        b',{"content":"Hello, Bob! How can I assist you today?","additional_kwargs":{"agent":'
        b'{"return_values":{"output":"Hello, Bob! How can I assist you today?"},'
        b'"log":"Hello, Bob! How can I assist you today?","type":"AgentFinish"}},'
        b'"type":"ai","example":false}]}'
    )
    question = {"content": "whats my name? respond in spanish", "type": "human"}
    send("POST", f"{base_url}/runs", json=run(question))
    wait_until(lambda: len(said()) == 4, 20, "the second answer")
    assert said()[-2:] == [question["content"], "Tu nombre es Bob."]

    farewell = "You too! If you have any other questions, feel free to ask."
    model_server.script(say(farewell))
    printed = streamed(base_url, run({"content": "have a good day!", "type": "human"}))
    assert printed[:4] == ["You ", "You too! ", "You too! If ", "You too! If you "]
    assert printed[-2:] == [farewell, farewell]
    assert printed == sorted(printed, key=len)


def streamed(base_url: str, body: dict[str, Any]) -> list[str]:
    """What the documented loop prints: the last message of each event, as far as it is said."""
    printed: list[str] = []
    with httpx2.stream("POST", f"{base_url}/runs/stream", cookies=COOKIES, json=body) as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if line.startswith("data"):
                value = json.loads(line[len("data: ") :])
                if "messages" in value:
                    printed.append(value["messages"][-1]["content"])
    return printed
