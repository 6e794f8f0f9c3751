"""How a model server is asked, through the openai package: bounded in every way, and whatever goes
wrong is a ModelError.

The client retries nothing itself: it would sleep in the worker's slot, where `run_after` waits in
the database. Time is bounded in total, since the client's own read time-out starts anew with each
byte; size is bounded, since an endless body is a body too.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Any, cast

import httpx2
import openai
import orjson

from shared.errors import ModelError
from shared.rests import retry_after

LARGEST_ANSWER = 16 * 1024 * 1024
_CONNECT_SECONDS = 5.0
_LONGEST_REASON = 500

# By the first the SDK knows that a body is to be read as it comes; the others are left out.
_AS_IT_COMES: dict[str, str | openai.Omit] = {
    "X-Stainless-Raw-Response": "stream",
    "x-stainless-retry-count": openai.omit,
    "x-stainless-read-timeout": openai.omit,
}


class HttpClient(openai.DefaultHttpxClient):
    """Takes a server's address apart once, and not for every request."""

    def build_request(self, method: str, url: httpx2.URL | str, **options: Any) -> httpx2.Request:
        return super().build_request(method, _apart(url), **options)


_apart = lru_cache(maxsize=64)(httpx2.URL)


class OpenAI(openai.OpenAI):
    """Looks for nothing in the environment, and tells a server nothing of the machine it runs on:
    the SDK's headers about that also cost a fifth of a worker's work on a run."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        http_client: httpx2.Client,
        timeout: openai.Timeout | openai.NotGiven = openai.NOT_GIVEN,
    ) -> None:
        super().__init__(
            base_url=base_url,
            api_key=api_key,
            organization="",
            project="",
            webhook_secret="",
            max_retries=0,
            timeout=timeout,
            http_client=http_client,
        )

    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        json = "application/json"
        return {"Accept": json, "Content-Type": json, "User-Agent": self.user_agent}


Post = Callable[[dict[str, Any], openai.Timeout], httpx2.Response]


def post_to(client: openai.OpenAI, path: str) -> Post:
    """By the client's own `post`, which is for calls that the SDK does not know. In one that it
    knows it goes through all parameters there are, and looks at each part of each message, for
    something to convert: an eighth of a worker's work on a run, and here is nothing to convert."""
    # Put together once; the SDK takes both apart for every request.
    url = f"{client.base_url}{path}"

    def post(body: dict[str, Any], timeout: openai.Timeout) -> httpx2.Response:
        return client.post(
            url,
            cast_to=httpx2.Response,
            content=orjson.dumps(body),
            options={"headers": _AS_IT_COMES, "timeout": timeout},
        )

    return post


@contextmanager
def answer_to(
    post: Post,
    body: dict[str, Any],
    deadline: float,
    largest: int = LARGEST_ANSWER,
    *,
    asked_for: str = "",
) -> Generator[tuple[Iterator[bytes], Mapping[str, str]]]:
    """The answer's bytes as they come, and its headers. `deadline` is by time.monotonic(). A
    refusal tells what was `asked_for`, where it is no answer of a chat. Raises ModelError, in the
    block too."""
    left = max(0.1, deadline - time.monotonic())
    timeout = openai.Timeout(left, connect=_CONNECT_SECONDS)
    try:
        with closing(post(body, timeout)) as response:
            yield _bounded(response.iter_bytes(), deadline, largest), response.headers
    except openai.APIStatusError as error:
        raise _refusal(error, asked_for) from error
    except openai.APITimeoutError as error:
        raise _too_late() from error
    except openai.APIConnectionError as error:
        raise _broken(error.__cause__ or error) from error
    # The body is read past the SDK's own translation of errors.
    except httpx2.TimeoutException as error:
        raise _too_late() from error
    except httpx2.HTTPError as error:
        raise _broken(error) from error


def malformed(what: str, quoted: str = "", *, transient: bool = True) -> ModelError:
    message = f"The model server sent {what}" + ("" if quoted else ".")
    return ModelError(message, code="server_error", transient=transient, quoted=quoted)


def words_of(body: Any) -> str:
    """The model server's own sentence, shortened; it is shown to whoever asked."""
    nested = cast("dict[str, Any]", body).get("message") if isinstance(body, dict) else None
    text = nested if isinstance(nested, str) else body if isinstance(body, str) else "no reason"
    return " ".join(text.replace("\0", " ").split())[:_LONGEST_REASON]


def _bounded(chunks: Iterator[bytes], deadline: float, largest: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > largest:
            raise malformed(f"an answer of more than {largest >> 20} MB")
        if time.monotonic() > deadline:
            raise _too_late()
        yield chunk


def _refusal(error: openai.APIStatusError, asked_for: str) -> ModelError:
    status = error.status_code
    limited = status == 429
    transient = limited or status >= 500 or status in (408, 409)
    invalid = status in (400, 413, 422)
    return ModelError(
        f"The model server answered {status}{asked_for and f' when asked for {asked_for}'}",
        code="rate_limit_exceeded" if limited else "invalid_prompt" if invalid else "server_error",
        transient=transient,
        retry_after=retry_after(error.response.headers) if transient else None,
        quoted=words_of(error.body),
        kind="limited" if limited else "failed" if status >= 500 else "refused",
    )


def _too_late() -> ModelError:
    return ModelError(
        "The model server took too long.", code="server_error", transient=True, kind="late"
    )


def _broken(error: BaseException) -> ModelError:
    return ModelError(
        f"The model server cannot be reached ({type(error).__name__}).",
        code="server_error",
        transient=True,
        kind="unreached",
    )
