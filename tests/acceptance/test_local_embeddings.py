"""The local model of embeddings as `treadle up` starts it, asked as Treadle asks."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cli.embedded.minilm import FILE
from cli.embedded.model import LocalEmbeddings
from cli.embedded.processes import StartError
from shared.embeddings import MOST_AT_ONCE, Embeddings, Vector
from shared.settings import Settings
from tests.acceptance.conftest import free_port
from tests.acceptance.up import Up
from tests.local_models import NO_LIBGOMP, WORKS, install
from tests.model_server import ModelServer

BY_WORDS = "Vector stores are searched by words alone."
LIBGOMP = (
    "the system library libgomp.so.1, which is missing here: `apt-get install libgomp1` as root"
)

pytestmark = pytest.mark.xdist_group("local embeddings")  # the tests share one server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEmbeddings]:
    with pytest.MonkeyPatch.context() as patch:
        server = _installed(tmp_path_factory.mktemp("local"), WORKS, patch)
        server.start()
        yield server
        server.stop()


def _installed(place: Path, llama: str, patch: pytest.MonkeyPatch) -> LocalEmbeddings:
    install(place, llama)
    patch.syspath_prepend(str(place))
    patch.setenv("PYTHONPATH", str(place))
    return LocalEmbeddings(place / "models", place / "embeddings.log")


def _of(server: LocalEmbeddings, texts: list[str]) -> list[Vector]:
    settings = Settings(embedding_model="minilm", embedding_base_url=server.base_url)
    with closing(Embeddings(settings)) as embeddings:
        return embeddings.of(texts, 30).vectors


def _near(vector: Vector, *wanted: float) -> bool:
    return all(abs(a - b) < 0.01 for a, b in zip(vector, wanted, strict=False))


def test_as_many_texts_as_treadle_sends_at_once_come_back_in_their_order(
    server: LocalEmbeddings,
) -> None:
    texts = ["cat" if number % 3 else "dog" for number in range(MOST_AT_ONCE)]
    vectors = _of(server, texts)
    assert [_near(vector, 1, 0) for vector in vectors] == [text == "cat" for text in texts]


def test_a_text_longer_than_the_model_reads_has_the_mean_of_its_parts(
    server: LocalEmbeddings,
) -> None:
    long = "cat " * 600 + "dog " * 600
    first, both, last = _of(server, ["cat", long, "dog"])
    assert _near(first, 1, 0)
    assert _near(both, 0.5**0.5, 0.5**0.5)
    assert _near(last, 0, 1)


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "😀", "👩\u200d👩\u200d👧 " * 700, "漢字" * 900, "a\0b"]
)
def test_any_text_has_a_vector(server: LocalEmbeddings, text: str) -> None:
    assert len(_of(server, [text])[0]) == 384


def test_a_second_start_finds_what_the_first_made_and_a_kill_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = _installed(tmp_path, WORKS, monkeypatch)
    server.start()
    made = tmp_path / "models" / FILE
    before = made.stat()
    os.kill(server.process.pid, signal.SIGKILL)
    server.start()
    try:
        assert _near(_of(server, ["cat"])[0], 1, 0)
        assert made.stat().st_mtime_ns == before.st_mtime_ns
    finally:
        server.stop()


def test_a_model_of_embeddings_that_cannot_run_says_why_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = _installed(tmp_path, NO_LIBGOMP, monkeypatch)
    with pytest.raises(StartError, match=r"apt-get install libgomp1.* TREADLE_EMBEDDING_BASE_URL"):
        server.start()
    server.weights = "a_package_that_is_not_there"
    with pytest.raises(StartError, match=r"is not installed: run `make setup`"):
        server.wait_ready()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("llama", "said", "found"),
    [
        (WORKS, "The local model of embeddings is up", ["pets.txt"]),
        (NO_LIBGOMP, f"{BY_WORDS} The local model of embeddings needs {LIBGOMP}", []),
    ],
    ids=["works", "does not"],
)
def test_embeddings_are_made_here_on_request_and_all_else_works_where_they_cannot_be(
    model_server: ModelServer, tmp_path: Path, llama: str, said: str, found: list[str]
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    install(packages, llama)
    more = {"TREADLE_LOCAL_EMBEDDINGS": "1", "PYTHONPATH": str(packages)}
    up = Up(tmp_path / "home", free_port(), model_server.base_url, **more).started()
    try:
        assert said in up.text
        assert "Answered: You said: " in up.text
        assert up.text.count("starting it again") == 0
        assert _found(up, "pets.txt", "My cat is asleep.", "Where does a feline rest?") == found
    finally:
        up.stop()


def _found(up: Up, name: str, text: str, question: str) -> list[str]:
    with up.client() as client:
        store = client.vector_stores.create(name="notes")
        file = client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=(name, text.encode())
        )
        assert file.status == "completed"
        return [one.filename for one in client.vector_stores.search(store.id, query=question)]
