"""Everything that can go wrong and has a name. No HTTP here: `api/errors.py` renders these.

TreadleError
├── SettingsError            the start is refused; the text names the variable and the cure
├── Refused                  the caller asked for something that cannot be
│   ├── Invalid              the request itself is wrong
│   ├── NotFound             no such object in the caller's project
│   └── Conflict             right request, wrong state
├── LimitReached             more than the caller's limit allows now; later is another matter
├── Unavailable              PostgreSQL, or what else is needed, cannot answer now
├── LeaseLost                this worker no longer holds the run; write nothing more
├── CallCut                  the model call was ended from here; its run is over
├── Unreadable               a file has no text that could be searched
└── ModelError               the model server gave no answer, or could not be asked
"""


class TreadleError(Exception):
    pass


class SettingsError(TreadleError):
    pass


class Refused(TreadleError):
    """`param` names the offending argument, `code` is the wire's machine-readable reason."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


class Invalid(Refused):
    pass


class NotFound(Refused):
    pass


class Conflict(Refused):
    pass


class LimitReached(TreadleError):
    """`retry_after`: seconds until a repeat may be worth it."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class Unavailable(TreadleError):
    """`retry_after`: seconds until a repeat may be worth it."""

    def __init__(self, message: str = "", *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LeaseLost(TreadleError):
    pass


class CallCut(TreadleError):
    pass


class Unreadable(TreadleError):
    """`code` is the wire's: unsupported_file or invalid_file. The message is for whoever put the
    file in."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ModelError(TreadleError):
    """`code` is the run's `last_error.code` if nothing better comes of a repeat.

    `transient`: a repeat may help. `retry_after`: seconds the model server asked us to wait.
    `model`: which was asked, as the model server knows it, where it is not the run's own.
    `quoted`: the model server's own words, part of the message; they may repeat the prompt, so the
    log has the `reason` without them. `kind`: one of KINDS, what went wrong.
    """

    KINDS = ("limited", "failed", "refused", "late", "unreached", "malformed")

    def __init__(
        self,
        message: str,
        *,
        code: str,
        transient: bool,
        retry_after: float | None = None,
        quoted: str = "",
        kind: str = "malformed",
    ) -> None:
        super().__init__(message)
        self.message = f"{message}: {quoted}" if quoted else message
        self.reason = message
        self.code = code
        self.transient = transient
        self.retry_after = retry_after
        self.model: str | None = None
        self.kind = kind
