"""The models that can be asked for: those that the model server lists, and the aliases.

The server is asked at most every half minute, in a thread of its own. So whoever asks here waits a
bounded time whatever the server does, and is told of the aliases alone where it does not answer.
"""

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any, cast

import httpx2
import openai
import orjson

from shared.log import name_of
from shared.model_server import HttpClient, OpenAI
from shared.settings import Settings

log = logging.getLogger(__name__)

_REMEMBERED_SECONDS = 30.0
_FAILURE_REMEMBERED_SECONDS = 5.0
_LONGEST_WAIT = 2.0
_TIMEOUT = openai.Timeout(_LONGEST_WAIT, connect=1.0)
_LARGEST_ANSWER = 4 * 1024 * 1024


@dataclass(frozen=True)
class ServedModel:
    id: str
    created: int = 0
    owned_by: str = "treadle"


class ServedModels:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._aliases = [name for name in settings.models if name != "*"]
        self._lock = threading.Lock()
        self._question: _Question | None = None
        self._listed: list[ServedModel] = []
        self._fresh_until = 0.0

    def known(self) -> list[ServedModel]:
        models = {model.id: model for model in self._from_server()}
        for alias in self._aliases:
            served = models.get(self._settings.served_model(alias))
            models.setdefault(alias, ServedModel(alias, served.created if served else 0))
        return list(models.values())

    def find(self, name: str) -> ServedModel | None:
        """With the alias `*`, any name at all is served."""
        for model in self.known():
            if model.id == name:
                return model
        return ServedModel(name) if "*" in self._settings.models else None

    def _from_server(self) -> list[ServedModel]:
        if not self._settings.model_base_url:
            return []
        with self._lock:
            if time.monotonic() < self._fresh_until:
                return self._listed
            question = self._question or self._begin()
        if not question.answered.wait(_LONGEST_WAIT):
            question.cut()
        return question.models or []

    def _begin(self) -> "_Question":
        """One at a time, however many wait for it."""
        self._question = question = _Question(self._settings)
        threading.Thread(target=self._ask, args=(question,), daemon=True).start()
        return question

    def _ask(self, question: "_Question") -> None:
        question.ask()
        failed = question.models is None
        remembered = _FAILURE_REMEMBERED_SECONDS if failed else _REMEMBERED_SECONDS
        with self._lock:
            self._listed = question.models or []
            self._fresh_until = time.monotonic() + remembered
            self._question = None
        question.answered.set()


class _Question:
    """One request to the model server, which another thread can cut."""

    def __init__(self, settings: Settings) -> None:
        self.answered = threading.Event()
        self.models: list[ServedModel] | None = None
        self._client = OpenAI(
            settings.model_base_url,
            settings.model_api_key,
            # Proxies of the environment are not used, as the worker does not.
            HttpClient(transport=httpx2.HTTPTransport()),
            _TIMEOUT,
        )

    def ask(self) -> None:
        try:
            self.models = _models(self._read())
        except ValueError as error:
            log.warning("models not listed", extra={"reason": str(error)})
        # RuntimeError: the client was closed by a cut before it sent anything.
        except (openai.OpenAIError, httpx2.HTTPError, RuntimeError) as error:
            reason = name_of(error.__cause__ or error)
            log.warning("models not listed", extra={"reason": reason})
        finally:
            self._client.close()

    def cut(self) -> None:
        """Its connection is closed under it, so that a server that drips ends it as well."""
        self._client.close()

    def _read(self) -> bytes:
        body = b""
        with self._client.models.with_streaming_response.list() as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > _LARGEST_ANSWER:
                    raise ValueError("the model server's list of models is too large")
        return body


def _models(body: bytes) -> list[ServedModel]:
    """What can be read of the list; servers differ in what they say beside the id."""
    answer: Any = orjson.loads(body)
    listed = cast("Any", answer.get("data")) if isinstance(answer, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the model server's list of models is none")
    return [_model(one) for one in listed if isinstance(one, dict) and _is_name(one.get("id"))]


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 256


def _model(listed: dict[str, Any]) -> ServedModel:
    created, owner = listed.get("created"), listed.get("owned_by")
    return ServedModel(
        listed["id"],
        int(created) if isinstance(created, int | float) else 0,
        owner if isinstance(owner, str) else "",
    )
