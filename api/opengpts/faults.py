"""What is wrong with a request, in the words of FastAPI and the pydantic of 2023."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from marshmallow import ValidationError

from shared.errors import TreadleError

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Detail:
    """One entry of a 422: where, in words, and in the words of machines."""

    loc: Location
    msg: str = "field required"
    type: str = "value_error.missing"

    @classmethod
    def at(cls, *loc: str | int) -> Self:
        """Something that is absent."""
        return cls(loc)


class UnprocessableError(TreadleError):
    """The request does not fit its schema. FastAPI tells all that is wrong, not only the first."""

    def __init__(self, details: list[Detail]) -> None:
        super().__init__("; ".join(f"{detail.loc}: {detail.msg}" for detail in details))
        self.details = details


@dataclass(frozen=True)
class Fault:
    msg: str
    type: str


MISSING = Fault("field required", "value_error.missing")
NULL = Fault("none is not an allowed value", "type_error.none.not_allowed")


def fault(msg: str, type_: str) -> ValidationError:
    return ValidationError([Fault(msg, type_)])


def unprocessable(place: str, errors: Any) -> UnprocessableError:
    """From marshmallow's tree of errors."""
    return UnprocessableError(
        [Detail((place, *loc), one.msg, one.type) for loc, one in _faults(errors, ())]
    )


def _faults(errors: Any, loc: Location) -> Iterator[tuple[Location, Fault]]:
    if isinstance(errors, Fault):
        yield loc, errors
    elif isinstance(errors, list):
        for error in errors:
            yield from _faults(error, loc)
    else:
        for key, error in errors.items():
            yield from _faults(error, loc if key == "_schema" else (*loc, key))
