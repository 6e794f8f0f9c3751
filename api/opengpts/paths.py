"""Ids in addresses: clients choose them, within what an id may look like."""

from api.opengpts.faults import Detail, UnprocessableError
from shared.ids import is_wellformed


def require_id(name: str, text: str, *, place: str = "path") -> None:
    if not is_wellformed(text):
        fault = Detail((place, name), "value is not a valid uuid", "type_error.uuid")
        raise UnprocessableError([fault])
