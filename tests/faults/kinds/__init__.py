"""The faults, by the part that they hurt."""

from tests.faults.kinds import api, postgresql, redis, workers

__all__ = ["api", "postgresql", "redis", "workers"]
