"""Embeddings: texts as vectors, by the model that the settings name, asked of its server.

None where no model is named: then retrieval is by words alone. Vectors of one model are never
compared with another's, so each is kept with the name of its model.
"""

import itertools
import math
import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

import orjson

from shared import metrics
from shared.budget import Budget
from shared.errors import ModelError
from shared.model_server import HttpClient, OpenAI, answer_to, malformed, post_to
from shared.rests import until_reset
from shared.settings import Settings
from shared.tokens import estimate

# Texts in one request.
MOST_AT_ONCE = 64
MOST_DIMENSIONS = 4000
_PATIENCE_SECONDS = 5.0

Vector: TypeAlias = "array[float]"


@dataclass(frozen=True)
class Embedding:
    """`model` as the model server knows it."""

    model: str
    vector: Vector


@dataclass(frozen=True)
class Embedded:
    """The vectors of texts, in their order, each as long as the others; and how many seconds the
    model server wants to be left alone for."""

    vectors: list[Vector]
    rest_seconds: float


def written(vector: Vector) -> str:
    """As PostgreSQL reads it."""
    return "[" + ",".join(map(_SHORT, vector)) + "]"


_SHORT = "{:.6g}".format


class Embeddings:
    def __init__(self, settings: Settings) -> None:
        self.model = settings.embedding_model
        self._label = metrics.model_label(settings, self.model)
        self._budget = Budget(settings)
        base_url, key = settings.embedding_server
        self._client = OpenAI(base_url or "http://127.0.0.1:9", key, HttpClient(trust_env=False))
        self._post = post_to(self._client, "embeddings")

    def close(self) -> None:
        self._client.close()

    def at_once(self, texts: Sequence[str]) -> int:
        """How many of the first of a file's texts are asked for in one request; one at least."""
        most = self._budget.most_tokens_of_files
        texts = texts[:MOST_AT_ONCE]
        sums = itertools.accumulate(map(estimate, texts)) if most else ()
        return max(1, sum(tokens <= most for tokens in sums)) if most else len(texts)

    def of(self, texts: Sequence[str], seconds: float, *, of_file: bool = False) -> Embedded:
        """At most MOST_AT_ONCE. Where a minute's limit is used up they wait a moment for more of
        it. Raises ModelError."""
        body = {"model": self.model, "input": list(texts), "encoding_format": "float"}
        deadline = time.monotonic() + seconds
        try:
            self._take(texts, deadline, of_file=of_file)
            with (
                metrics.model_call(self._label),
                answer_to(self._post, body, deadline, asked_for="embeddings") as (chunks, headers),
            ):
                answer = _read(chunks)
                vectors = _vectors(answer, len(texts))
        except ModelError as error:
            error.model = self.model
            raise
        self._count(texts, answer)
        return Embedded(vectors, until_reset(headers))

    def used_up(self, seconds: float) -> ModelError:
        """For who asks for more than there is now, with when there is some again."""
        error = ModelError(
            "The model for embeddings has been asked as often as it may be in a minute.",
            code="rate_limit_exceeded",
            transient=True,
            retry_after=seconds,
            kind="limited",
        )
        error.model = self.model
        return error

    def _take(self, texts: Sequence[str], deadline: float, *, of_file: bool) -> None:
        """Who waits for it holds a place meanwhile, so not for long."""
        patient_until = min(deadline, time.monotonic() + _PATIENCE_SECONDS)
        estimated = partial(_estimated, texts)
        while wait := self._budget.take(self.model, estimated, of_files=of_file):
            if time.monotonic() + wait > patient_until:
                raise self.used_up(wait)
            time.sleep(wait)

    def _count(self, texts: Sequence[str], answer: dict[str, Any]) -> None:
        usage = answer.get("usage")
        told = cast("dict[str, Any]", usage).get("prompt_tokens") if isinstance(usage, dict) else 0
        tokens = told if isinstance(told, int) and 0 <= told < 2**53 else 0
        metrics.model_answered(self._label, {"prompt_tokens": tokens, "completion_tokens": 0})
        self._budget.charge(self.model, partial(_estimated, texts), tokens)


def _estimated(texts: Sequence[str]) -> int:
    return sum(map(estimate, texts))


def _read(chunks: Iterable[bytes]) -> dict[str, Any]:
    try:
        answer = orjson.loads(b"".join(chunks))
    except orjson.JSONDecodeError:
        raise _malformed() from None
    if not isinstance(answer, dict):
        raise _malformed()
    return cast("dict[str, Any]", answer)


def _vectors(answer: dict[str, Any], count: int) -> list[Vector]:
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
