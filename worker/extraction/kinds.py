"""Which kind a file is of. Its bytes tell, and not its name, but for the kinds of plain text; a
name that promises something else than there is, is told."""

import codecs
import zipfile
from importlib import import_module
from typing import BinaryIO, cast

from shared.errors import Unreadable
from worker.extraction.outcome import INVALID, MOST_TEXT, UNSUPPORTED

_HEAD = 1024
# Of what a file is packed from.
_MOST_UNPACKED = 512 << 20
_MOST_MEMBERS = 20_000
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DOCUMENTS = {"word/document.xml": "word", "ppt/presentation.xml": "slides"}
_PROMISED = {".pdf": "PDF", ".docx": "Word document", ".pptx": "PowerPoint presentation"}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def text_of(file: BinaryIO, ending: str) -> str:
    """`ending` is its name's, such as `.pdf`. Raises Unreadable, or whatever a library raises for
    what is not of its kind."""
    head = file.read(_HEAD)
    file.seek(0)
    if not head:
        raise Unreadable(INVALID, "The file is empty.")
    if _is_pdf(head, ending):
        return _by("pdf", file)
    if head.startswith(b"PK\x03\x04"):
        return _by(_kind_of_archive(file), file)
    if head.startswith(_OLE):
        raise Unreadable(
            INVALID, "The file is protected by a password, or of an Office older than 2007."
        )
    if ending in _PROMISED:
        raise Unreadable(INVALID, f"The file is named {ending} and is no {_PROMISED[ending]}.")
    text = _plain(file, ending)
    start = text[:_HEAD].lstrip().lower()
    is_page = ending in (".html", ".htm", ".xhtml") or start.startswith(("<!doctype html", "<html"))
    return cast("str", import_module("worker.extraction.web").text_of(text)) if is_page else text


def _is_pdf(head: bytes, ending: str) -> bool:
    """Some begin with other bytes; but so do texts that tell of PDF."""
    return head.lstrip().startswith(b"%PDF-") or (ending == ".pdf" and b"%PDF-" in head)


def _by(kind: str, file: BinaryIO) -> str:
    """The library of a kind is loaded once it is known: each takes time and memory."""
    return cast("str", import_module(f"worker.extraction.{kind}").text_of(file))


def _kind_of_archive(file: BinaryIO) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile:
        raise Unreadable(INVALID, "The file is damaged: it cannot be unpacked.") from None
    finally:
        file.seek(0)
    unpacked = sum(member.file_size for member in members)
    if unpacked > _MOST_UNPACKED or len(members) > _MOST_MEMBERS:
        raise Unreadable(INVALID, f"The file unpacks to more than {_MOST_UNPACKED >> 20} MB.")
    names = {member.filename for member in members}
    for name, kind in _DOCUMENTS.items():
        if name in names:
            return kind
    raise Unreadable(
        UNSUPPORTED, "Of packed files only Word documents and PowerPoint presentations are read."
    )


def _plain(file: BinaryIO, ending: str) -> str:
    content = file.read(4 * MOST_TEXT + 1)
    if len(content) > 4 * MOST_TEXT:
        raise Unreadable(INVALID, f"The file has more than {MOST_TEXT >> 20} MB of text.")
    for mark, coding in _MARKS:
        if content.startswith(mark):
            return content.decode(coding)
    if b"\0" in content:
        raise Unreadable(UNSUPPORTED, f"Files of this kind are not read as text{_named(ending)}.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return _old(content, ending)


def _old(content: bytes, ending: str) -> str:
    """Of the time before UTF-8. Bytes that are no text either have many that no text has."""
    strange = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in content[:65536])
    if strange * 100 > min(len(content), 65536):
        raise Unreadable(UNSUPPORTED, f"Files of this kind are not read as text{_named(ending)}.")
    return content.decode("cp1252", "replace")


def _named(ending: str) -> str:
    return f" ({ending})" if ending and ending.isascii() and len(ending) <= 10 else ""
