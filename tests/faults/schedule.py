"""What a number means: which faults, in which order, when, and under whose eyes."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults import kinds
from tests.faults.fault import FAULTS, Fault

__all__ = ["Schedule", "Turn", "kinds", "named"]


@dataclass(frozen=True)
class Turn:
    """One fault's: it begins after `lead` seconds of peace and is judged after `rest` more."""

    fault: type[Fault]
    lead: float
    rest: float


@dataclass(frozen=True)
class Schedule:
    seed: int
    turns: Sequence[Turn]
    clients: int

    @classmethod
    def of(
        cls, seed: int, faults: Sequence[type[Fault]], most: int, clients: int = 8
    ) -> "Schedule":
        """`most` of these faults, all of them if there are fewer; the same for the same number."""
        chance = random.Random(seed)
        chosen = chance.sample(list(faults), min(most, len(faults)))
        turns = [Turn(one, chance.uniform(0.5, 1.5), chance.uniform(1.5, 3)) for one in chosen]
        return cls(seed, turns, clients)


def named(part: str) -> list[type[Fault]]:
    """The faults whose name contains this."""
    return [fault for fault in FAULTS if part in fault.name]
