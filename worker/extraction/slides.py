"""PowerPoint presentations: each slide's texts, tables and notes."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import pptx


def text_of(file: BinaryIO) -> str:
    presentation: Any = pptx.Presentation(file)
    slides = ["\n".join(_slide(slide)) for slide in presentation.slides]
    return "\n\n".join(slides)


def _slide(slide: Any) -> Iterator[str]:
    for shape in slide.shapes:
        yield from _shape(shape)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        yield slide.notes_slide.notes_text_frame.text


def _shape(shape: Any) -> Iterator[str]:
    if shape.has_text_frame:
        yield shape.text_frame.text
    elif getattr(shape, "has_table", False):
        for row in shape.table.rows:
            yield " | ".join(cell.text for cell in row.cells)
    elif hasattr(shape, "shapes"):
        for one in shape.shapes:
            yield from _shape(one)
