"""The faults, by the part that they hurt."""

from tests.faults.kinds import api, model, postgresql, redis, workers

__all__ = ["api", "model", "postgresql", "redis", "workers"]
