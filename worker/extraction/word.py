"""Word documents: paragraphs and tables in their order."""

from typing import BinaryIO

import docx
from docx.table import Table
from docx.text.paragraph import Paragraph


def text_of(file: BinaryIO) -> str:
    lines: list[str] = []
    for block in docx.Document(file).iter_inner_content():
        lines += _lines(block)
    return "\n".join(lines)


def _lines(block: Paragraph | Table) -> list[str]:
    if isinstance(block, Paragraph):
        return [block.text]
    return [" | ".join(cell.text for cell in row.cells) for row in block.rows]
