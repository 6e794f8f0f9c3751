"""A key's requests in a minute: counted, refused beyond the limit, and told in the wire's headers.

A request counts once when it comes, however long it is then held or streamed, and whatever becomes
of it but this refusal. A key without a limit is not counted, so its requests ask Redis nothing.
"""

import math

from flask import Response, g

from api import current
from api.auth import caller
from shared import rates
from shared.errors import LimitReached
from shared.rates import Standing

# One that is longer, and be it by a moment's rounding, is not obeyed by OpenAI's client for Node.
_LONGEST_RETRY_AFTER = 60


def count_request() -> None:
    """Before a request, when its caller is known. Raises LimitReached."""
    limit = caller().requests_per_minute
    if not limit:
        return
    standing = rates.take_and_tell(f"key:{caller().key_id}", 1, limit)
    g.standing = standing
    if standing.wait_seconds:
        raise LimitReached(
            f"Rate limit reached for project {caller().project_id} on requests per min (RPM):"
            f" Limit {limit}, Used {limit - standing.remaining}, Requested 1.",
            retry_after=standing.wait_seconds,
        )


def tell(response: Response) -> None:
    """On every answer to a key that has a limit."""
    standing: Standing | None = current.kept().get("standing")
    if standing is not None:
        headers = response.headers
        headers["x-ratelimit-limit-requests"] = str(caller().requests_per_minute)
        headers["x-ratelimit-remaining-requests"] = str(standing.remaining)
        headers["x-ratelimit-reset-requests"] = duration(standing.reset_seconds)


def sentence(error: LimitReached) -> str:
    """With the words from which programs read how long to wait."""
    return f"{error.message} Please try again in {duration(error.retry_after)}."


def ask_to_wait(response: Response, error: LimitReached) -> Response:
    """In whole seconds, at least 1, as the wire does."""
    seconds = max(1, math.ceil(error.retry_after))
    response.headers["Retry-After"] = str(min(seconds, _LONGEST_RETRY_AFTER))
    return response


def duration(seconds: float) -> str:
    """As the wire writes one: 0s, 20ms, 1.5s, 6m0s."""
    milliseconds = math.ceil(seconds * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"
