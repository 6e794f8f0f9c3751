"""Chunks: none too long, all of the text, ends where the text has them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.tokens import estimate
from worker.chunking import cut

SENTENCE = "The weaver passes the weft through the shed. "


def joined(text: str, most: int, overlap: int) -> str:
    return "".join(piece.text[piece.repeated :] for piece in cut(text, most, overlap))


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=3000),
    most=st.integers(100, 300),
    part=st.floats(0, 0.5),
)
def test_chunks_are_the_text_and_none_has_more_tokens_than_it_may(
    text: str, most: int, part: float
) -> None:
    overlap = int(most * part)
    pieces = list(cut(text, most, overlap))
    assert "".join(piece.text[piece.repeated :] for piece in pieces) == text
    for before, piece in itertools.pairwise(pieces):
        assert piece.repeated < len(before.text)
        assert before.text.endswith(piece.text[: piece.repeated])
        assert estimate(piece.text[: piece.repeated]) <= overlap
    assert all(estimate(piece.text) <= most for piece in pieces)
    assert all(piece.text for piece in pieces) or not text


def test_a_short_text_is_one_chunk() -> None:
    (piece,) = cut("Hello.", 800, 400)
    assert (piece.text, piece.repeated) == ("Hello.", 0)


@pytest.mark.parametrize("end", ["\n\n", "\n", ". ", " "])
def test_a_chunk_ends_where_the_text_does(end: str) -> None:
    text = ("x" * 41 + end) * 100
    for piece in list(cut(text, 100, 0))[:-1]:
        assert piece.text.endswith(end)


def test_neighbours_share_as_much_as_was_asked() -> None:
    text = SENTENCE * 200
    pieces = list(cut(text, 200, 100))
    for piece in pieces[1:]:
        assert 80 <= estimate(piece.text[: piece.repeated]) <= 100


def test_text_of_many_bytes_a_character_is_cut_between_characters() -> None:
    text = "織機" * 3000
    assert joined(text, 100, 50) == text


def test_a_megabyte_without_an_end_is_cut_all_the_same() -> None:
    assert sum(1 for _ in cut("a" * 1_000_000, 4096, 2048)) < 400
