"""GET /models and /models/{model}: what the model server lists, and the aliases."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import pytest
from openai import NotFoundError, OpenAI

from shared.settings import Settings
from tests.conftest import Caller, an_app, client_as, http_as
from tests.model_server import ModelServer, Reply, drip, fail, list_models, send, stall

ALIASES = {"gpt-4o": "org/served.v1", "gpt-4o-mini": "gone"}


@contextmanager
def serving(settings: Settings, caller: Caller, **changes: object) -> Iterator[OpenAI]:
    """A client of an API with other settings."""
    with (
        an_app(settings, **changes) as app,
        client_as(app, caller.secret) as client,
    ):
        yield client


def test_the_servers_models_and_the_aliases_are_listed(
    settings: Settings, caller: Caller, model_server: ModelServer
) -> None:
    model_server.models = list_models("org/served.v1", "small:1b")
    with serving(settings, caller, models={**ALIASES, "*": "small:1b"}) as client:
        listed = client.models.list()
    assert listed.object == "list"
    assert [(model.id, model.created, model.owned_by) for model in listed.data] == [
        ("org/served.v1", 7, "us"),
        ("small:1b", 7, "us"),
        ("gpt-4o", 7, "treadle"),
        ("gpt-4o-mini", 0, "treadle"),
    ]


@pytest.mark.parametrize("name", ["gpt-4o", "org/served.v1", "small:1b"])
def test_a_model_is_retrieved_by_its_name(
    settings: Settings, caller: Caller, model_server: ModelServer, name: str
) -> None:
    model_server.models = list_models("org/served.v1", "small:1b")
    with serving(settings, caller, models=ALIASES) as client:
        model = client.models.retrieve(name)
    assert (model.id, model.object) == (name, "model")


@pytest.mark.parametrize("name", ["fake_id", "*", "a/b/c"])
def test_an_unknown_model_is_not_found(client: OpenAI, name: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.models.retrieve(name)
    assert caught.value.body == {
        "message": f"The model '{name}' does not exist",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


def test_with_an_alias_for_all_any_name_is_a_model(settings: Settings, caller: Caller) -> None:
    with serving(settings, caller, models={"*": "scripted"}) as client:
        assert client.models.retrieve("any/thing").id == "any/thing"
        assert [model.id for model in client.models.list()] == ["scripted"]


def test_models_are_only_read(http: httpx2.Client) -> None:
    assert http.delete("models/scripted").status_code == 405
    assert http.post("models", json={}).status_code == 405


def test_the_server_is_asked_once_for_many(client: OpenAI, model_server: ModelServer) -> None:
    listed, slow = list_models("scripted"), threading.Event()
    model_server.models = stall(slow, listed)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(client.models.list) for _ in range(8)]
        slow.set()
        assert {answer.result().data[0].id for answer in answers} == {"scripted"}
    client.models.retrieve("scripted")
    assert model_server.times_listed == 1


@pytest.mark.parametrize(
    "broken",
    [
        fail(401),
        fail(500),
        send(b""),
        send(b"not json"),
        send(b"[]"),
        send(b'{"data": null}'),
        send(b'{"data": [7, {"id": 7}, {"id": ""}, {"name": "nameless"}]}'),
        send(b" " * (5 * 1024 * 1024)),
    ],
    ids=["refused", "failed", "empty", "no json", "a list", "null", "nameless", "endless"],
)
def test_a_server_that_lists_nothing_leaves_the_aliases(
    settings: Settings, caller: Caller, model_server: ModelServer, broken: Reply
) -> None:
    model_server.models = broken
    with serving(settings, caller, models=ALIASES) as client:
        assert [model.id for model in client.models.list()] == list(ALIASES)


@pytest.mark.parametrize("slow", [stall(), drip(0.05)], ids=["silent", "dripping"])
def test_a_server_that_takes_too_long_is_not_waited_for(
    settings: Settings, caller: Caller, model_server: ModelServer, slow: Reply
) -> None:
    model_server.models = slow
    with serving(settings, caller, models=ALIASES) as client:
        began = time.monotonic()
        assert [model.id for model in client.models.list()] == list(ALIASES)
        assert time.monotonic() - began < 3


def test_a_server_that_drips_headers_is_cut_and_asked_again(
    settings: Settings, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.served_models._FAILURE_REMEMBERED_SECONDS", 0.0)
    with _dripping_headers() as (base_url, connections):
        with serving(settings, caller, models=ALIASES, model_base_url=base_url) as client:
            for _ in range(2):
                began = time.monotonic()
                assert [model.id for model in client.models.list()] == list(ALIASES)
                assert time.monotonic() - began < 3
                _wait_until_hung_up(connections)
        assert len(connections) == 2


def test_without_a_server_the_aliases_are_all_there_is(settings: Settings, caller: Caller) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        for base_url in ("", nobody):
            with serving(settings, caller, models=ALIASES, model_base_url=base_url) as client:
                assert [model.id for model in client.models.list()] == list(ALIASES)


def test_models_need_a_key(settings: Settings, caller: Caller) -> None:
    with an_app(settings) as app, http_as(app, "") as http:
        assert http.get("models").status_code == 401


class _Connection(threading.Thread):
    """Sends a header that never ends, until the other side hangs up."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(daemon=True)
        self.accepted = accepted

    def run(self) -> None:
        with self.accepted:
            try:
                self.accepted.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while True:
                    self.accepted.sendall(b"a")
                    time.sleep(0.02)
            except OSError:
                return


@contextmanager
def _dripping_headers() -> Iterator[tuple[str, list[_Connection]]]:
    connections: list[_Connection] = []

    def accept(listening: socket.socket) -> None:
        while True:
            try:
                connections.append(_Connection(listening.accept()[0]))
            except OSError:
                return
            connections[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, args=(listening,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1", connections
        listening.shutdown(socket.SHUT_RDWR)


def _wait_until_hung_up(connections: list[_Connection]) -> None:
    for connection in connections:
        connection.join(10)
        assert not connection.is_alive()
