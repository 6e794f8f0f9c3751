"""The faults, by the part that they hurt."""

from tests.faults.kinds import api, clients, model, postgresql, redis, workers

__all__ = ["api", "clients", "model", "postgresql", "redis", "workers"]
