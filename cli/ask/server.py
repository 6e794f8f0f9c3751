"""The server that is asked, through the openai package: whatever passes by itself is waited out.

Answers are taken as they came: for what is read of them, the client's models cost more than all the
rest. Its own retries are off, since they give up.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
import orjson

from cli.ask.answers import Failure
from cli.ask.errors import AskError
from cli.embedded.programs import LOCAL
from shared.rests import retry_after

HOLD_SECONDS = 20
_TIMEOUT = openai.Timeout(60.0, connect=10.0)
# A pool of connections is searched from end to end.
_CALLS_PER_CLIENT = 32
_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
# It will be there again, or take more, or so says whatever stands before it.
_PASSES = {408, 425, 429, 502, 503, 504}
_MAY_PASS = {409, 500}
_TRIES = 4
# A request may be what breaks the server, or whatever stands before it: that is not waited out.
_LOST = {408, 502, 504}
_MOST_LOST = 8
_PROBE = "/assistants?limit=1"
_LONGEST_REASON = 500

Object = dict[str, Any]


class RefusedError(Exception):
    """The server refuses this one request, for good."""

    def __init__(self, status: int, failure: Failure) -> None:
        super().__init__(failure.message)
        self.status = status
        self.failure = failure


class Server:
    """`trouble` says what is waited for while it does not answer as it should."""

    def __init__(self, base_url: str, key: str, in_flight: int) -> None:
        self.base_url = base_url
        self.trouble: str | None = None
        self._since = 0.0
        trust = urlsplit(base_url).hostname not in LOCAL  # in proxies
        verify = httpx2.create_ssl_context(trust_env=trust)
        self._clients = [
            openai.AsyncOpenAI(
                base_url=base_url,
                api_key=key,
                max_retries=0,
                timeout=_TIMEOUT,
                default_headers={"OpenAI-Beta": "assistants=v2"},
                http_client=openai.DefaultAsyncHttpxClient(verify=verify, trust_env=trust),
            )
            for _ in range(1 + (in_flight - 1) // _CALLS_PER_CLIENT)
        ]
        self._turns = itertools.cycle(self._clients)

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    def waited(self) -> float:
        """Seconds since the trouble began."""
        return time.monotonic() - self._since

    async def get(self, path: str, **headers: str) -> tuple[Object, Mapping[str, str]]:
        return await self._call("GET", path, None, headers)

    async def post(self, path: str, body: Object, **headers: str) -> Object:
        """With an Idempotency-Key, or where a second time does no harm."""
        return (await self._call("POST", path, body, headers))[0]

    async def _call(
        self, method: str, path: str, body: Object | None, headers: Mapping[str, str]
    ) -> tuple[Object, Mapping[str, str]]:
        """Raises RefusedError, and AskError where no other request could fare better."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        lost = 0
        for tried in itertools.count(1):
            try:
                answer = await self._send(method, path, body, named)
                self.trouble = None
                return _parsed(answer.content), answer.headers
            except openai.APIStatusError as error:
                if _is_final(error, tried):
                    self.trouble = None
                    raise self._refusal(error) from None
                pause = retry_after(error.response.headers)
                reason, is_lost = (
                    f"the server answers {error.status_code}",
                    error.status_code in _LOST,
                )
            except openai.APIConnectionError as error:
                pause, reason, is_lost = None, _words_of(error), True
            self._trouble(reason)
            if is_lost and tried >= _TRIES and await self._is_there():
                lost += 1
                if lost >= _MOST_LOST:
                    raise RefusedError(0, Failure("no_answer", f"To this question, {reason}."))
            await asyncio.sleep(_pause(tried) if pause is None else pause + random.random() / 4)
        raise AssertionError("counting does not end")

    async def _is_there(self) -> bool:
        """Whether it answers others while it does not answer this one."""
        try:
            await self._send("GET", _PROBE, None, {})
        except openai.APIError:
            return False
        return True

    async def _send(
        self, method: str, path: str, body: Object | None, headers: Mapping[str, str]
    ) -> httpx2.Response:
        client = next(self._turns)
        if method == "GET":
            return await client.get(path, cast_to=httpx2.Response, options={"headers": headers})
        return await client.post(
            path, cast_to=httpx2.Response, body=body, options={"headers": headers}
        )

    def _trouble(self, reason: str) -> None:
        if self.trouble is None:
            self._since = time.monotonic()
        self.trouble = reason

    def _refusal(self, error: openai.APIStatusError) -> Exception:
        failure = _failure(error)
        if error.status_code in (401, 403):
            return AskError(f"{self.base_url} refuses the key: {failure.message}")
        if failure.code == "insufficient_quota":
            return AskError(f"{self.base_url} takes no more: {failure.message}")
        return RefusedError(error.status_code, failure)


def _parsed(content: bytes) -> Object:
    """Raises RefusedError."""
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        failure = Failure("unexpected_answer", "The server's answer is no JSON object.")
        raise RefusedError(200, failure)
    return found


def _is_final(error: openai.APIStatusError, tried: int) -> bool:
    status = error.status_code
    if status == 429:
        return error.code == "insufficient_quota"
    return status not in _PASSES and (status not in _MAY_PASS or tried >= _TRIES)


def _failure(error: openai.APIStatusError) -> Failure:
    """In the server's own words, shortened."""
    body = error.body if isinstance(error.body, dict) else {}
    words = " ".join(str(body.get("message") or error.response.text or "no reason").split())
    return Failure(error.code or f"http_{error.status_code}", words[:_LONGEST_REASON])


def _words_of(error: openai.APIConnectionError) -> str:
    if isinstance(error, openai.APITimeoutError):
        return "the server does not answer in time"
    return f"the server cannot be reached ({error.__cause__ or error})"


def _pause(tried: int) -> float:
    """Grows, and differs, so that not all come back at once."""
    longest = min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2 ** min(tried - 1, 10))
    return longest * random.uniform(0.5, 1.0)
