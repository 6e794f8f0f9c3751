"""How long arrivals wait before a server is free, by simulation."""

import heapq
import random
from collections.abc import Callable
from statistics import quantiles

Service = Callable[[random.Random], float]

# What an empty beginning makes look better than it is.
_BEGINNING = 0.2


def exponential(mean: float) -> Service:
    """Seconds that vary as the times of answers do: many short ones, few long ones."""
    return lambda chance: chance.expovariate(1 / mean)


def constant(seconds: float) -> Service:
    return lambda _: seconds


def waits(
    rate: float, servers: int, service: Service, arrivals: int = 100_000, seed: int = 1
) -> list[float]:
    """Seconds of each arrival until its turn: `rate` a second come at random, independent moments,
    the first that came is served first, by whichever server is free."""
    chance = random.Random(seed)
    free_at = [0.0] * servers
    now, found = 0.0, list[float]()
    for _ in range(arrivals):
        now += chance.expovariate(rate)
        begin = max(now, free_at[0])
        heapq.heapreplace(free_at, begin + service(chance))
        found.append(begin - now)
    return found[int(arrivals * _BEGINNING) :]


def percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100)[percent - 1]
