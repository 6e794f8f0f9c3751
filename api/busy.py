"""What a thread whose run goes on does with another run or message: it refuses, as the wire does,
or, where the setting or the request's header asks for it, lets it wait for its turn."""

from flask import request

from api.runtime import runtime
from shared.errors import Invalid

HEADER = "Treadle-Busy-Thread"
WISHES = ("reject", "queue")


def may_wait() -> bool:
    wish = request.headers.get(HEADER, runtime().settings.busy_thread)
    if wish not in WISHES:
        raise Invalid(
            f"Invalid value: '{wish}'. Supported values are: 'reject' and 'queue'.",
            param=HEADER,
            code="invalid_value",
        )
    return wish == "queue"
