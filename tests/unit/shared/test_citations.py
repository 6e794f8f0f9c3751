from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import citations

NAMES = ["loom.txt", "sky 🌍.md"]


def details(turn: int, *names: str) -> dict[str, Any]:
    results = [{"file_id": f"file-{name}", "file_name": name} for name in names]
    search = {"turn": turn, "results": results}
    return {"tool_calls": [{"type": "file_search", "file_search": search}]}


KNOWN = citations.sources([details(4, *NAMES)])


def test_a_marker_becomes_an_annotation_that_slices_it_exactly() -> None:
    text = "🧵 Two treadles【4:0†loom.txt】. Blue【4:1†sky 🌍.md】【4:0†loom.txt】"
    found = citations.annotations(text, KNOWN)
    assert [one["file_citation"]["file_id"] for one in found] == [
        "file-loom.txt",
        "file-sky 🌍.md",
        "file-loom.txt",
    ]
    for one in found:
        assert text[one["start_index"] : one["end_index"]] == one["text"]
    assert found[0] == {
        "type": "file_citation",
        "text": "【4:0†loom.txt】",
        "start_index": 14,
        "end_index": 28,
        "file_citation": {"file_id": "file-loom.txt"},
    }


def test_a_marker_may_name_its_source_only() -> None:
    (found,) = citations.annotations("So【4:1†source】.", KNOWN)
    assert found["file_citation"] == {"file_id": "file-sky 🌍.md"}


@pytest.mark.parametrize(
    "text",
    [
        "【4:2†loom.txt】",
        "【5:0†loom.txt】",
        "【4:0†sky 🌍.md】",
        "【4:0loom.txt】",
        "【4:0†loom.txt",
        "4:0†loom.txt】",
        "[4:0†loom.txt]",
        "【】",
        "",
    ],
)
def test_what_is_no_marker_of_a_result_stays_text(text: str) -> None:
    assert citations.annotations(text, KNOWN) == []
    assert "".join(piece for piece, _ in citations.split(text, KNOWN)) == text


def test_a_marker_may_follow_what_only_begins_as_one() -> None:
    (found,) = citations.annotations("【4:0†【4:0†loom.txt】", KNOWN)
    assert (found["start_index"], found["text"]) == (5, "【4:0†loom.txt】")


def test_a_name_cannot_break_its_marker() -> None:
    marker = citations.marker(0, 0, "a】【0:1†b\n" + "c" * 500)
    assert marker.startswith("【0:0†a__0:1_b_ccc")
    assert marker.count("【") == marker.count("】") == marker.count("†") == 1
    known = citations.sources([details(0, "a】【0:1†b\n" + "c" * 500)])
    assert len(citations.annotations(f"So {marker}", known)) == 1


def test_functions_and_messages_are_no_sources() -> None:
    function = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"type": "message_creation", "message_creation": {"message_id": "msg_1"}}
    assert citations.sources([{"tool_calls": [function]}, message]) == {}


@given(
    st.lists(st.sampled_from(["【", "】", "4:0†", "loom.txt", "a", "【4:0†loom.txt】", "🌍"])),
    st.data(),
)
def test_a_text_in_pieces_is_cut_as_the_whole_is(parts: list[str], data: st.DataObject) -> None:
    """Held back is no more than what a marker may begin with."""
    text = "".join(parts)
    pieces: list[tuple[str, str | None]] = []
    held, left = "", text
    while left:
        size = data.draw(st.integers(1, len(left)))
        held, left = held + left[:size], left[size:]
        end = len(held) - (citations.unfinished(held, KNOWN) if left else 0)
        pieces += citations.split(held[:end], KNOWN)
        held = held[end:]
    assert "".join(piece for piece, _ in pieces) == text
    cited = [(piece, file_id) for piece, file_id in pieces if file_id is not None]
    whole = [(piece, id_) for piece, id_ in citations.split(text, KNOWN) if id_ is not None]
    assert cited == whole
