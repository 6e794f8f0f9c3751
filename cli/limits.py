"""Limits as commands take and show them."""

from typing import Any

import click

from shared.settings import MOST_OF_A_LIMIT

DEFAULT = "default"


class Limit(click.ParamType):
    """A number, 0 for no limit, or the word that leaves it to the settings."""

    name = f"N|{DEFAULT}"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value == DEFAULT:
            return value
        return click.IntRange(0, MOST_OF_A_LIMIT).convert(value, param, ctx)


def shown(limit: int | None) -> str:
    return DEFAULT if limit is None else str(limit or "any")
