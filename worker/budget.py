"""What a model is asked in a minute by all workers together: requests, and tokens of both ways.

An answer's tokens are known when it is there. So a prompt's are taken before, as estimated, and the
rest is charged after, even beyond the limit: what comes next waits the longer for it.
"""

from typing import Any

from shared import rates
from shared.settings import Settings
from worker import prompt
from worker.tokens import estimate


class Budget:
    def __init__(self, settings: Settings) -> None:
        self._requests = settings.model_requests_per_minute
        self._tokens = settings.model_tokens_per_minute
        self._served = settings.served_model

    def take(self, request: dict[str, Any]) -> float:
        """For a chat completion's body: seconds to wait before asking again, or 0 if it may go."""
        name = self._name(request)
        return rates.take(f"{name}:requests", 1, self._requests) or rates.take(
            f"{name}:tokens", self._estimated(request), self._tokens
        )

    def charge(self, request: dict[str, Any], total_tokens: int) -> None:
        """What its answer took, beyond what was taken before."""
        if self._tokens:
            beyond = total_tokens - min(self._estimated(request), self._tokens)
            rates.charge(f"{self._name(request)}:tokens", beyond, self._tokens)

    def _name(self, request: dict[str, Any]) -> str:
        return f"model:{self._served(request['model'])}"

    def _estimated(self, request: dict[str, Any]) -> int:
        return prompt.cost(request["messages"], "", 0, estimate) if self._tokens else 0
