"""Readers of settings: from a variable's text to its value.

Each raises ValueError with what the value must be, in words that follow the variable's name.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

Reader = Callable[[str], Any]


def url(*schemes: str, host: bool = False) -> Reader:
    def read(text: str) -> str:
        try:
            parts = urlsplit(text)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in schemes or (host and not parts.hostname):
            raise ValueError(f"must be a URL that begins with {' or '.join(schemes)}://")
        if parts.netloc.count("@") > 1 or re.search(r"%(?![0-9A-Fa-f]{2})|\s", text):
            raise ValueError("must have the special characters of a password percent-encoded")
        return text

    return read


def whole(least: int, most: int) -> Reader:
    def read(text: str) -> int:
        digits = text.isascii() and text.isdigit() and len(text) <= len(str(most)) + 10
        if not (digits and least <= int(text) <= most):
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return read


def seconds(least: float, most: float) -> Reader:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not least <= value <= most:
            raise ValueError(f"must be a number of seconds from {least:g} to {most:g}")
        return value

    return read


def one_of(*words: str) -> Reader:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return text

    return read


def flag(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError("must be 1 or 0")
    return words[text.lower()]
