"""Embeddings: texts as vectors, by the model that the settings name, asked of the model server.

None where no model is named: then retrieval is by words alone. Vectors of one model are never
compared with another's, so each is kept with the name of its model.
"""

import itertools
import math
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

import openai
import orjson

from shared.errors import ModelError
from shared.model_server import answer_to, malformed
from shared.settings import Settings

# Texts in one request.
MOST_AT_ONCE = 64
MOST_DIMENSIONS = 4000

Vector: TypeAlias = "array[float]"


@dataclass(frozen=True)
class Embedding:
    """`model` as the model server knows it."""

    model: str
    vector: Vector


def written(vector: Vector) -> str:
    """As PostgreSQL reads it."""
    return "[" + ",".join(map(_SHORT, vector)) + "]"


_SHORT = "{:.6g}".format


class Embeddings:
    def __init__(self, settings: Settings) -> None:
        self.model = settings.embedding_model
        self._client = openai.OpenAI(
            base_url=settings.model_base_url or "http://127.0.0.1:9",
            api_key=settings.model_api_key,
            organization="",
            project="",
            webhook_secret="",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(trust_env=False),
        )

    def close(self) -> None:
        self._client.close()

    def of(self, texts: Sequence[str], seconds: float) -> list[Vector]:
        """In their order, each as long as the others; at most MOST_AT_ONCE. Raises ModelError."""
        create = cast("Any", self._client.embeddings.with_streaming_response.create)
        body = {"model": self.model, "input": list(texts), "encoding_format": "float"}
        post = partial(create, model="", input=[])
        try:
            deadline = time.monotonic() + seconds
            with answer_to(post, body, deadline, asked_for="embeddings") as (chunks, _):
                return _vectors(orjson.loads(b"".join(chunks)), len(texts))
        except orjson.JSONDecodeError:
            raise _malformed() from None


def _vectors(answer: Any, count: int) -> list[Vector]:
    try:
        data = sorted(answer["data"], key=lambda one: one["index"])
        vectors = [_unit(list(map(float, one["embedding"]))) for one in data]
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _malformed() from None
    lengths = {len(vector) for vector in vectors}
    finite = all(map(math.isfinite, itertools.chain.from_iterable(vectors)))
    if len(vectors) != count or len(lengths) != 1 or not finite:
        raise _malformed()
    if not 1 <= lengths.pop() <= MOST_DIMENSIONS:
        raise _malformed()
    return vectors


def _unit(vector: list[float]) -> Vector:
    """Only its direction is compared; its length may be more than half precision has room for."""
    length = math.hypot(*vector)
    return array("f", (part / length for part in vector) if length else vector)


def _malformed() -> ModelError:
    return malformed("something that is not embeddings", transient=False)
