"""Text of every script and JSON of every shape comes back as it was sent."""

from typing import Any

import httpx2
import orjson

from shared.db import Database
from tests.conftest import Caller
from tests.factories import an_assistant

TEXTS = [
    "😀👩‍👩‍👧‍👦🏳️‍🌈",  # surrogate pairs in UTF-16, joined into one sign
    "שלום \u202eabc\u202c العربية",  # right to left, and an override
    "e\u0301 \u1e9b\u0323 Å \u212b",  # combining marks and what normalising would change
    "\ufeff\u200b\u00a0\u2028\u2029\ufffd\uffff",  # invisible, and a noncharacter
    "\x01\x02\x1b\x7f\x80\x9f\t\r\n\\ \" ' % %s {} $1 :x --",
    "𝄞\U0010ffff\ud7ff\ue000",  # the ends of the planes
    "</script><b>&amp;&#0; \\u0000 \\ud800",
    " leading and trailing \n",
]
SCHEMA: dict[str, Any] = {
    "z first": {"type": "string", "pattern": "^\\d+$"},
    "": None,
    "a": [1, -1, 0, 1.5, 1e-7, 9007199254740993, True, None, "", [], {}],
    "😀": {"$ref": "#/a", "%s": "\u202e"},
    "_schema": "x",
}


def test_text_comes_back_as_it_was_sent(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    for text in TEXTS:
        settings = {
            "model": text,
            "name": text,
            "description": text,
            "instructions": text,
            "metadata": {text: text},
        }
        made = http.post("assistants", json=settings).json()
        shown = http.get(f"assistants/{made['id']}").json()
        assert {name: shown[name] for name in settings} == settings
        parts = [
            {"type": "text", "text": text},
            {"type": "image_url", "image_url": {"url": text, "detail": "auto"}},
        ]
        body = {"messages": [{"role": "user", "content": parts, "metadata": {text: text}}]}
        thread = http.post("threads", json=body).json()
        path = f"threads/{thread['id']}/messages"
        (message,) = http.get(path).json()["data"]
        assert message["content"][0]["text"]["value"] == text
        assert message["content"][1] == parts[1]
        assert message["metadata"] == {text: text}
        asked = {"assistant_id": made["id"], "instructions": text, "metadata": {text: text}}
        run = http.post(f"threads/{thread['id']}/runs", json=asked).json()
        assert run == http.get(f"threads/{thread['id']}/runs/{run['id']}").json()
        assert (run["instructions"], run["metadata"]) == (text, {text: text})


def test_a_response_format_comes_back_as_it_was_sent_in_its_order(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    assistant = an_assistant(database, caller.project_id)
    deep: Any = "x"
    for _ in range(30):
        deep = {"a": [deep]}
    for schema in (SCHEMA, {}, {"properties": deep}):
        given = {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": schema, "strict": True},
        }
        answer = http.post(f"assistants/{assistant.id}", json={"response_format": given})
        shown = http.get(f"assistants/{assistant.id}").json()["response_format"]
        assert answer.json()["response_format"] == shown
        assert orjson.dumps(shown) == orjson.dumps(given)
        run = http.post("threads/runs", json={"assistant_id": assistant.id}).json()
        assert orjson.dumps(run["response_format"]) == orjson.dumps(given)


def test_zero_false_and_empty_are_values_and_not_absent(
    http: httpx2.Client, database: Database, caller: Caller
) -> None:
    assistant = an_assistant(database, caller.project_id, temperature=0.7, top_p=0.7)
    asked = {
        "assistant_id": assistant.id,
        "thread": {"messages": [{"role": "user", "content": "x"}]},
        "instructions": "",
        "temperature": 0,
        "top_p": 0,
        "parallel_tool_calls": False,
    }
    run = http.post("threads/runs", json=asked).json()
    assert run["instructions"] == ""
    assert (run["temperature"], run["top_p"], run["parallel_tool_calls"]) == (0, 0, False)
