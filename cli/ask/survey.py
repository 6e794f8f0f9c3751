"""What an input holds, and whether all of it can be asked: looked at before anything is."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import IO

from cli.ask.errors import AskError
from cli.ask.questions import Bad, Question
from cli.ask.reading import questions

_SHOWN_BAD_LINES = 20


@dataclass
class Survey:
    """What there is to ask, before any of it is."""

    count: int = 0
    last_line: int = 0
    first_model: str | None = None  # of a question that names no assistant
    needs_assistant: bool = False
    bad: list[Bad] = field(default_factory=list)  # the first of them
    bad_count: int = 0


def survey(file: IO[bytes], kind: str, *, has_assistant: bool) -> Survey:
    """Raises AskError where two questions have one custom_id: no answer could say whose it is."""
    found, ids = Survey(), _Ids()
    for one in judged(questions(file, kind), has_assistant=has_assistant):
        found.count += 1
        found.last_line = one.line
        if isinstance(one, Bad):
            found.bad_count += 1
            found.bad += [one] if len(found.bad) < _SHOWN_BAD_LINES else []
            continue
        if kind != "text":
            ids.add(one.custom_id)
        if "assistant_id" not in one.body:
            found.needs_assistant = True
            found.first_model = found.first_model or one.body.get("model")
    if twice := ids.perhaps_twice():
        _refuse_duplicates(questions(file, kind), twice)
    return found


def judged(read: Iterable[Question | Bad], *, has_assistant: bool) -> Iterator[Question | Bad]:
    """A question that nobody could answer is a bad line, too."""
    for one in read:
        if isinstance(one, Bad) or has_assistant or {"assistant_id", "model"} & one.body.keys():
            yield one
        else:
            yield Bad(
                one.line,
                "names no 'assistant_id' and no 'model', and --assistant and --model are not given",
            )


class _Ids:
    """Eight bytes for each id, in small heaps, so that ten million fit anywhere."""

    def __init__(self) -> None:
        self._heaps = [array("Q") for _ in range(256)]

    def add(self, custom_id: str) -> None:
        digest = digest_of_id(custom_id)
        self._heaps[digest & 255].append(digest)

    def perhaps_twice(self) -> set[int]:
        return {
            one for heap in self._heaps for one, next_ in pairwise(sorted(heap)) if one == next_
        }


def digest_of_id(custom_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(custom_id.encode(), digest_size=8).digest())


def _refuse_duplicates(read: Iterable[Question | Bad], digests: set[int]) -> None:
    """Looks at those that may be equal; two ids may have one digest."""
    lines: dict[str, int] = {}
    for one in read:
        if isinstance(one, Bad) or digest_of_id(one.custom_id) not in digests:
            continue
        first = lines.setdefault(one.custom_id, one.line)
        if first != one.line:
            raise AskError(
                f"The custom_id {one.custom_id!r} stands on line {first} and on line {one.line} "
                "(a question without one has its line number). Nothing was asked."
            )
