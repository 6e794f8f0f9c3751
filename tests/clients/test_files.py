"""Files, vector stores and answers that cite them, by the clients' own helpers: openai-python in the
first release that has vector stores and in the one we lock, openai-node in the newest."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.clients import environments
from tests.clients.conftest import Run
from tests.clients.test_openai_node import VERSION
from tests.documents import a_pdf
from tests.model_server import ModelServer, say

pytestmark = pytest.mark.timeout(600)  # the first time, packages are installed

HERE = Path(__file__).parent
FIRST, LOCKED = "1.21.0", version("openai")
TEXT = "The loom of Anna has two treadles."
MARKER = "【1:0†loom.pdf】"
# Before the marker stands a character that JavaScript's strings count as two.
ANSWER = f"Zwölf 🧵, nein: two {MARKER}, and no more【9:9†loom.pdf】."
CITED = ["completed", ANSWER, [[MARKER, True, True]]]
COUNTS = {"in_progress": 0, "completed": 2, "failed": 1, "cancelled": 0, "total": 3}
TOLD: list[Any] = [
    ["file", "né.txt", 9, "user_data", "processed"],
    ["content", "The weft."],
    ["listed", True],
    ["deleted", True],
    ["gone", 404, True],
    ["pdf", "completed", None],
    ["batch", "completed", COUNTS],
    ["files", ["completed", "completed", "failed"]],
    ["found", [["loom.pdf", TEXT]]],
    ["polled", *CITED],
    ["annotated", [[MARKER, MARKER]]],
    ["streamed", *CITED],
    ["store deleted", True],
]


@pytest.fixture
def pdf(tmp_path: Path) -> str:
    path = tmp_path / "loom.pdf"
    path.write_bytes(a_pdf(TEXT))
    return str(path)


@pytest.fixture(autouse=True)
def rehearsed(model_server: ModelServer) -> None:
    """The model asks for a search, and cites what it was given: to each of two questions."""
    function = {"name": "file_search", "arguments": '{"query": "treadles"}'}
    call = {"id": "call_s", "type": "function", "function": function}
    model_server.script(*[say(None, tool_calls=[call]), say(ANSWER)] * 2)


def test_openai_node_fills_stores_searches_them_and_has_answers_with_citations(
    run: Run, pdf: str
) -> None:
    node, modules = environments.node("openai_node")
    told = run(node, str(HERE / "openai_node" / "files.js"), pdf, NODE_PATH=str(modules))
    assert told == [VERSION, *TOLD]


@pytest.mark.parametrize("release", [FIRST, LOCKED])
def test_openai_python_fills_stores_searches_them_and_has_answers_with_citations(
    release: str, run: Run, pdf: str
) -> None:
    first = release == FIRST
    python = environments.python("openai_python_1_21") if first else sys.executable
    told = run(python, str(HERE / "openai_python" / "files.py"), pdf)
    searches = [line for line in TOLD if not (first and line[0] == "found")]
    assert told == [["openai", release], *searches]
