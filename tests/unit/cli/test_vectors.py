"""/v1/embeddings over something that makes a vector of one text."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest

from cli.embedded.vectors import Embed, Embedded, Server, TooLongError, of_any_length

MOST = 4


@contextmanager
def serving(embed: Embed) -> Iterator[Server]:
    """At its end every request has ended too."""
    with Server(0, "words", embed) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def words(text: str) -> Embedded:
    """Of length 1, by how many of the words are `a`; it reads four words."""
    said = text.split()
    if len(said) > MOST:
        raise TooLongError(f"{len(said)} words")
    vector = [0.6, 0.8] if "a" in said else [1.0, 0.0]
    return vector, len(said)


def test_what_is_too_long_has_the_mean_of_its_parts_by_their_length() -> None:
    assert of_any_length(words, "a b c", 1) == ([0.6, 0.8], 3)
    vector, tokens = of_any_length(words, "a b c d e f g h", 1)
    assert tokens == 8
    assert vector == pytest.approx([1.6 / 3.2**0.5, 0.8 / 3.2**0.5], abs=0.05)
    assert sum(place**2 for place in vector) == pytest.approx(1)


@pytest.mark.parametrize("text", ["x" * 1000, "😀" * 300, " " * 1000, "漢字 " * 200])
def test_a_text_is_cut_wherever_it_must_be(text: str) -> None:
    read: list[str] = []

    def few(part: str) -> Embedded:
        if len(part) > 10:
            raise TooLongError
        read.append(part)
        return [1.0], len(part)

    assert of_any_length(few, text, 1) == ([1.0], len(text))
    assert "".join(read) == text


def test_a_short_text_that_is_refused_stays_refused() -> None:
    def none(text: str) -> Embedded:
        raise TooLongError(text)

    with pytest.raises(TooLongError):
        of_any_length(none, "x" * 1000, 510)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"input": null}', b'{"input": [5]}', b'{"input": "a a a a a"}'],
)
def test_what_cannot_be_made_a_vector_of_is_refused_and_the_connection_goes_on(
    body: bytes,
) -> None:
    def strict(text: Any) -> Embedded:
        if not isinstance(text, str):
            raise TypeError(text)
        return words(text)

    with (
        serving(strict) as server,
        closing(HTTPConnection("127.0.0.1", server.server_port, timeout=10)) as connection,
    ):
        assert _posted(connection, body)[0] == 400
        status, answer = _posted(connection, b'{"input": ["a b", "c"]}')
    assert (status, answer["model"], answer["usage"]["prompt_tokens"]) == (200, "words", 3)
    assert [one["embedding"] for one in answer["data"]] == [[0.6, 0.8], [1.0, 0.0]]


def test_nothing_more_is_made_for_a_caller_that_is_gone() -> None:
    read: list[str] = []
    reading, gone = threading.Event(), threading.Event()

    def slow(text: str) -> Embedded:
        read.append(text)
        reading.set()
        assert gone.wait(10)
        return words(text)

    body = json.dumps({"input": ["a", "b", "c"]}).encode()
    head = f"POST /v1/embeddings HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with serving(slow) as server:
        with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
            connection.sendall(head + body)
            assert reading.wait(10)
        gone.set()
    assert read == ["a"]


def _posted(connection: HTTPConnection, body: bytes) -> tuple[int, Any]:
    connection.request("POST", "/v1/embeddings", body)
    response = connection.getresponse()
    return response.status, json.loads(response.read())
