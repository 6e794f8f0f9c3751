"""What ends a job before its last answer."""

import signal

from shared.errors import TreadleError


class AskError(TreadleError):
    """One sentence for whoever asks. What was answered until then is kept."""


class InterruptError(TreadleError):
    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"Interrupted by {number.name}.")
        self.status = 128 + number
