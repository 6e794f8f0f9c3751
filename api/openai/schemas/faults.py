"""Faults of a request, worded as the wire words them.

A `Fault` says what is wrong; where it sits in the marshmallow error tree gives it its path.
`first_fault` turns the tree into the one `Invalid` that the wire reports.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError

from shared.errors import Invalid

JSON_DEPTH = 64


@dataclass(frozen=True)
class Fault:
    """`before 'path' after`, or only `before` where the wire does not name the argument."""

    code: str | None
    before: str
    after: str | None = None

    def at(self, path: str) -> Invalid:
        message = self.before if self.after is None else f"{self.before}'{path}'{self.after}"
        return Invalid(message, param=path or None, code=self.code)


REQUIRED = Fault("missing_required_parameter", "Missing required parameter: ", ".")
UNKNOWN = Fault("unknown_parameter", "Unknown parameter: ", ".")
NUL = Fault("invalid_value", "Invalid ", ": the character U+0000 is not allowed.")
TOO_DEEP = Fault("invalid_value", "Invalid ", f": nested deeper than {JSON_DEPTH} levels.")


def not_built(what: str) -> Fault:
    return Fault("not_built", f"This version of Treadle does not have {what} yet: ", " is refused.")


def wrong_type(expected: str, value: Any) -> ValidationError:
    return refuse(
        "invalid_type",
        "Invalid type for ",
        f": expected {expected}, but got {_kind(value)} instead.",
    )


def refuse(code: str, before: str, after: str | None = None) -> ValidationError:
    return ValidationError([Fault(code, before, after)])


def first_fault(errors: Any) -> Invalid:
    for path, fault in _faults(errors, ""):
        return fault.at(path)
    raise AssertionError("a marshmallow error without a fault")


def _faults(errors: Any, path: str) -> Iterator[tuple[str, Fault]]:
    if isinstance(errors, Fault):
        yield path, errors
    elif isinstance(errors, list):
        for error in errors:
            yield from _faults(error, path)
    else:
        for key, error in errors.items():
            if key == "_schema" and not path and UNKNOWN not in error:
                yield from _faults(error, path)
            elif isinstance(key, int):
                yield from _faults(error, f"{path}[{key}]")
            else:
                yield from _faults(error, f"{path}.{key}" if path else str(key))


def _kind(value: Any) -> str:
    kinds = {
        type(None): "null",
        bool: "a boolean",
        int: "an integer",
        float: "a decimal number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return kinds[type(value)]


def wrong_choice(value: str, words: tuple[str, ...]) -> ValidationError:
    quoted = [f"'{word}'" for word in words]
    listed = " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
    if len(quoted) > 2:
        listed = ", ".join(quoted[:-1]) + f", and {quoted[-1]}"
    return refuse("invalid_value", f"Invalid value: '{value}'. Supported values are: {listed}.")


def wrong_prefix(text: str, prefix: str) -> str:
    return f": '{text}'. Expected an ID that begins with '{prefix}'."


def check_json(value: Any) -> None:
    """Bounds the depth and refuses U+0000, which PostgreSQL cannot store. Not recursive."""
    level = [value]
    for _ in range(JSON_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, str) and "\0" in item:
                raise ValidationError([NUL])
            if isinstance(item, Mapping):
                below += [*item.keys(), *item.values()]
            elif isinstance(item, list):
                below += item
        if not below:
            return
        level = below
    raise ValidationError([TOO_DEEP])


def check_length(value: list[Any], least: int, most: int | None) -> None:
    if len(value) < least:
        raise refuse(
            "empty_array",
            "Invalid ",
            f": empty array. Expected an array with minimum length {least},"
            " but got an empty array instead.",
        )
    if most is not None and len(value) > most:
        raise refuse(
            "array_above_max_length",
            "Invalid ",
            f": array too long. Expected an array with maximum length {most},"
            f" but got an array with length {len(value)} instead.",
        )


def check_text(text: str, longest: int | None) -> None:
    if "\0" in text:
        raise ValidationError([NUL])
    if longest is not None and len(text) > longest:
        raise refuse(
            "string_above_max_length",
            "Invalid ",
            f": string too long. Expected a string with maximum length {longest},"
            f" but got a string with length {len(text)} instead.",
        )


def check_range(kind: str, value: float, least: float | None, most: float | None) -> None:
    if most is not None and value > most:
        raise refuse(
            f"{kind}_above_max_value",
            "Invalid ",
            f": {kind} above maximum value. Expected a value <= {most}, but got {value} instead.",
        )
    if least is not None and value < least:
        raise refuse(
            f"{kind}_below_min_value",
            "Invalid ",
            f": {kind} below minimum value. Expected a value >= {least}, but got {value} instead.",
        )
