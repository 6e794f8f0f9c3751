"""What a model is asked in a minute by all together: requests, and tokens of both ways.

An answer's tokens are known when it is there. So a prompt's are taken before, as estimated, and the
rest is charged after, even beyond the limit: what comes next waits the longer for it.

Files of vector stores take a part of it only. Thousands of them may wait for days, and would leave
nothing of any minute to a question, for which somebody waits.
"""

from collections.abc import Callable

from shared import metrics, rates
from shared.settings import Settings

_PART_OF_FILES = 0.75

Estimate = Callable[[], int]


class Budget:
    """Of models as the model server knows them. An `estimate` is asked only where tokens count."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._requests = settings.model_requests_per_minute
        self._tokens = settings.model_tokens_per_minute

    @property
    def most_tokens_of_files(self) -> int:
        """In a minute; 0 for any number."""
        return _part(self._tokens)

    def take(self, model: str, estimate: Estimate, *, of_files: bool = False) -> float:
        """Seconds to wait before asking again, or 0 if it may go."""
        tokens = estimate() if self._tokens else 0
        for kind, cost, limit in (
            ("requests", 1, self._requests),
            ("tokens", tokens, self._tokens),
        ):
            name = f"model:{model}"
            wait = 0.0
            if of_files:
                cost = min(cost, _part(limit))
                wait = rates.take(f"{name}:files:{kind}", cost, _part(limit))
            wait = wait or rates.take(f"{name}:{kind}", cost, limit)
            if wait:
                metrics.HELD_BACK.labels(metrics.model_label(self._settings, model), kind).inc()
                return wait
        return 0.0

    def charge(self, model: str, estimate: Estimate, total_tokens: int) -> None:
        """What an answer took, beyond what was taken before."""
        if self._tokens:
            beyond = total_tokens - min(estimate(), self._tokens)
            rates.charge(f"model:{model}:tokens", beyond, self._tokens)


def _part(limit: int) -> int:
    """0 is no limit, which a part of one must not become."""
    return max(1, int(limit * _PART_OF_FILES)) if limit else 0
