"""Headers of ours that say how a run or message is to be treated, each with the few words it knows.

What a thread whose run goes on does with another run or message: it refuses, as the wire does, or
lets it wait for its turn. And the lane that a run waits in.
"""

from collections.abc import Sequence

from flask import request

from api.runtime import runtime
from shared.errors import Invalid
from shared.store.runs import CONVERSATION, LANES

BUSY_THREAD = "Treadle-Busy-Thread"
LANE = "Treadle-Lane"


def may_wait() -> bool:
    return _one_of(("reject", "queue"), BUSY_THREAD, runtime().settings.busy_thread) == "queue"


def lane() -> str:
    return _one_of(LANES, LANE, CONVERSATION)


def _one_of(words: Sequence[str], header: str, otherwise: str) -> str:
    wish = request.headers.get(header, otherwise)
    if wish not in words:
        known = " and ".join(f"'{word}'" for word in words)
        raise Invalid(
            f"Invalid value: '{wish}'. Supported values are: {known}.",
            param=header,
            code="invalid_value",
        )
    return wish
