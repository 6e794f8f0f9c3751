"""PDF."""

import logging
from typing import BinaryIO

from pypdf import PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError

from shared.errors import Unreadable
from worker.extraction.outcome import INVALID, MOST_TEXT

_MOST_PAGES = 10_000

# It says on stderr what it mends.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def text_of(file: BinaryIO) -> str:
    reader = PdfReader(file)
    if reader.is_encrypted:
        _open(reader)
    if len(reader.pages) > _MOST_PAGES:
        raise Unreadable(INVALID, f"The file has more than {_MOST_PAGES} pages.")
    texts: list[str] = []
    size = 0
    for page in reader.pages:
        texts.append(page.extract_text())
        size += len(texts[-1])
        if size > MOST_TEXT:
            raise Unreadable(INVALID, f"The file has more than {MOST_TEXT >> 20} MB of text.")
    text = "\n\n".join(texts)
    if not text.strip():
        raise Unreadable(INVALID, "The file has no text: its pages may be pictures.")
    return text


def _open(reader: PdfReader) -> None:
    """Some are encrypted with an empty password, and so only against changes."""
    try:
        if reader.decrypt(""):
            return
    except (DependencyError, FileNotDecryptedError, NotImplementedError):
        pass
    raise Unreadable(INVALID, "The file is protected by a password.")
