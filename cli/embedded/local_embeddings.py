"""The process of the local embeddings: `python -m cli.embedded.local_embeddings PORT DIRECTORY`.

llama.cpp with all-MiniLM-L6-v2. Its own HTTP server refuses a whole request for one text that is
longer than the model reads, and works off sixty-four texts before the next request: so it is asked
in this process, behind a server that does neither.
"""

import os
import sys
from pathlib import Path
from typing import Any

from cli.embedded import llama, minilm, vectors
from cli.embedded.model import EMBEDDING_MODEL

CONTEXT_TOKENS = 512
# A text of so many bytes is never too long: no token is less than one, and two are the model's own.
ALWAYS_FITS = CONTEXT_TOKENS - 2
WARNINGS = 2  # and what is worse: else every chunk of every file is some lines of the log
# Reading files yields to answering questions, where both want the same core.
NICE = 5


def main(port: int, directory: Path) -> None:
    os.nice(NICE)
    model = llama.xllamacpp.Server(_parameters(minilm.converted(directory)))

    def embed(text: str) -> vectors.Embedded:
        answer = model.handle_embeddings({"input": text})
        if "error" in answer:
            raise vectors.TooLongError(answer["error"].get("message"))
        return answer["data"][0]["embedding"], answer["usage"]["prompt_tokens"]

    server = vectors.Server(
        port, EMBEDDING_MODEL, lambda text: vectors.of_any_length(embed, text, ALWAYS_FITS)
    )
    sys.stderr.write(f"{EMBEDDING_MODEL} is served at http://127.0.0.1:{port}\n")
    server.serve_forever()


def _parameters(weights: Path) -> Any:
    parameters = llama.parameters(weights, port=0)
    parameters.embedding = True
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.cache_ram_mib = 0
    parameters.verbosity = WARNINGS
    return parameters


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
