"""Citations: the wire's markers `【turn:index†filename】`, by which an answer names what a search
of its run found, and the annotations that they become.

What counts as a marker is what the model was given as one; whatever else looks like it stays text.
Indices count characters (code points), as the wire's do.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# What a run's answer may cite: by the marker, the id of the file.
Sources = Mapping[str, str]

_MOST_OF_NAME = 120
_CANDIDATE = re.compile("【[^【】]*】")
_NOT_IN_A_NAME = re.compile(r"[【】†\x00-\x1f\x7f]")
# Models that were taught the wire's markers write this for any name.
_ANY_NAME = "source"


def marker(turn: int, index: int, file_name: str) -> str:
    """Of one result: `turn` tells the searches of a run apart, `index` the results of one."""
    return f"【{turn}:{index}†{_NOT_IN_A_NAME.sub('_', file_name)[:_MOST_OF_NAME]}】"


def sources(details: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Of the details of a run's steps, those that found something."""
    found: dict[str, str] = {}
    for call in (call for one in details for call in one.get("tool_calls", ())):
        if call["type"] != "file_search":
            continue
        search = call["file_search"]
        for index, result in enumerate(search["results"]):
            for name in (result["file_name"], _ANY_NAME):
                found[marker(search["turn"], index, name)] = result["file_id"]
    return found


def split(text: str, known: Sources) -> Iterator[tuple[str, str | None]]:
    """The text in pieces: each marker by itself with the file that it names, and what is between
    them with None."""
    start = 0
    for candidate in _CANDIDATE.finditer(text) if known else ():
        file_id = known.get(candidate[0])
        if file_id is not None:
            if start < candidate.start():
                yield text[start : candidate.start()], None
            yield candidate[0], file_id
            start = candidate.end()
    if start < len(text):
        yield text[start:], None


def unfinished(text: str, known: Sources) -> int:
    """How many characters at the end may be the beginning of a marker."""
    start = text.rfind("【") if known else -1
    if start < 0:
        return 0
    end = text[start:]
    return len(end) if any(one.startswith(end) and one != end for one in known) else 0


def annotation(cited: str, file_id: str, start: int) -> dict[str, Any]:
    """Of a marker that stands `start` characters behind the beginning of its text."""
    return {
        "type": "file_citation",
        "text": cited,
        "start_index": start,
        "end_index": start + len(cited),
        "file_citation": {"file_id": file_id},
    }


def annotations(text: str, known: Sources) -> list[dict[str, Any]]:
    """Of all markers in a text, in their order."""
    found: list[dict[str, Any]] = []
    at = 0
    for piece, file_id in split(text, known):
        if file_id is not None:
            found.append(annotation(piece, file_id, at))
        at += len(piece)
    return found
