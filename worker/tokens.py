"""How many tokens a text is.

The model server counts them where it can: vLLM, SGLang and llama.cpp each have `/tokenize` beside
`/v1`. Elsewhere they are estimated; an estimate that is too high only drops a message early.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, cast

import httpx2

from shared.log import name_of
from shared.settings import Settings
from shared.tokens import estimate
from worker.places import away

log = logging.getLogger(__name__)

Count = Callable[[str], int]

_TIMEOUT = httpx2.Timeout(5.0, connect=2.0)
_MOST_CONNECTIONS = 8
# A server that did not count is asked again after so many seconds.
_PATIENCE_SECONDS = 60.0


class Tokens:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = settings.model_base_url.rstrip("/").removesuffix("/v1") + "/tokenize"
        self._http = httpx2.Client(
            headers={"Authorization": f"Bearer {settings.model_api_key}"},
            timeout=_TIMEOUT,
            trust_env=False,
            limits=httpx2.Limits(max_connections=_MOST_CONNECTIONS),
        )
        self._estimate_until = 0.0

    def close(self) -> None:
        self._http.close()

    def of(self, model: str) -> Count:
        """For the model that a run asks for."""
        served = self._settings.served_model(model)
        return lambda text: self._count(served, text)

    def _count(self, model: str, text: str) -> int:
        if time.monotonic() < self._estimate_until:
            return estimate(text)
        try:
            # llama.cpp reads `content`, the others `model` and `prompt`.
            asked = {"model": model, "prompt": text, "content": text}
            with away():
                answer = self._http.post(self._url, json=asked)
            return _number(answer.raise_for_status().json())
        except (httpx2.HTTPError, ValueError) as error:
            log.info("tokens are estimated", extra={"error": name_of(error)})
            self._estimate_until = time.monotonic() + _PATIENCE_SECONDS
            return estimate(text)


def _number(answer: Any) -> int:
    if isinstance(answer, dict):
        told = cast("dict[str, Any]", answer)
        if isinstance(tokens := told.get("tokens"), list):
            return len(cast("list[Any]", tokens))
        if isinstance(count := told.get("count"), int):
            return count
    raise ValueError("not a count of tokens")
