"""A search's filters as PostgreSQL applies them: one jsonpath over a file's attributes, a parameter
of the query as its values are, so that nothing of a filter is ever SQL.

A comparison with a value of another kind, or with an attribute that a file does not have, is false;
`ne` and `nin` are the contrary of `eq` and `in`, and so true of it.
"""

import json
from typing import Any

from psycopg.types.json import Jsonb

# To be put into a WHERE clause beside `attributes`; its parameters are `parameters_of`.
MATCHES = " AND jsonb_path_match(attributes, %(filter)s::jsonpath, %(filter_values)s, TRUE)"

_COMPARED = {"eq": "==", "ne": "==", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_JOINED = {"and": " && ", "or": " || "}
_NEGATED = frozenset({"ne", "nin"})


def parameters_of(filters: dict[str, Any]) -> dict[str, Any]:
    """`filters` as on the wire: {type, key, value}, or {type: and | or, filters}."""
    values: dict[str, Any] = {}
    path = _path(filters, values)
    return {"filter": path, "filter_values": Jsonb(values)}


def _path(one: dict[str, Any], values: dict[str, Any]) -> str:
    kind = one["type"]
    if kind in _JOINED:
        return "(" + _JOINED[kind].join(_path(below, values) for below in one["filters"]) + ")"
    name = f"v{len(values)}"
    values[name] = one["value"]
    # A list's variable stands for each of its values: one that is equal is enough.
    variable = f"${name}[*]" if kind in ("in", "nin") else f"${name}"
    key = json.dumps(one["key"], ensure_ascii=False)
    compared = f"$.{key} {_COMPARED.get(kind, '==')} {variable}"
    if kind in _NEGATED:
        return f"(!({compared}) || (({compared}) is unknown))"
    return f"({compared})"
