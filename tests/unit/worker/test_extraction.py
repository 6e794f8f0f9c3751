"""Text from files of every kind, by the process that reads them; and from those that are none."""

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import Unreadable
from tests.documents import (
    a_document,
    a_document_of,
    a_page,
    a_pdf,
    a_pdf_of,
    a_presentation,
    a_stream,
    an_archive,
)
from worker.extraction.process import Extraction


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., str]:
    def read(content: bytes, name: str, seconds: float = 60) -> str:
        path = tmp_path / "blob"
        path.write_bytes(content)
        with path.open("rb") as file:
            return Extraction(seconds).text(file, name)

    return read


Read = Callable[..., str]


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        (b"Gr\xc3\xbc\xc3\x9fe", "a.txt", "Grüße"),
        (b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe", "a.md", "Grüße"),
        ("Grüße".encode("utf-16"), "a.txt", "Grüße"),
        ("Grüße".encode("cp1252"), "a.csv", "Grüße"),
        (b'{"a": 1}', "a.json", '{"a": 1}'),
        (b"a,b\n1,2\n", "a.csv", "a,b\n1,2\n"),
        (b"def f(): pass\n", "a.py", "def f(): pass\n"),
        (b"no name at all", "", "no name at all"),
        (b"A PDF begins with %PDF-1.4.", "a.md", "A PDF begins with %PDF-1.4."),
        (b"x", "../../etc/passwd", "x"),
        (b"x", "\U0001f600" * 300, "x"),
    ],
)
def test_text_is_read_as_it_is(read: Read, content: bytes, name: str, text: str) -> None:
    assert read(content, name) == text


def test_of_a_page_one_reads_what_is_seen_of_it(read: Read) -> None:
    page = b"""<!DOCTYPE html><html><head><title>Looms</title><style>p {}</style></head>
    <body><script>alert(1)</script><h1>The&nbsp;loom</h1><p>It has <b>treadles</b> &amp; a
    shed.<p>More.<ul><li>one<li>two</ul></body></html>"""
    for name in ("a.html", "a.txt"):
        text = read(page, name)
        assert "Looms" in text
        assert "It has treadles & a\nshed." in text
        assert "alert" not in text
        assert "p {}" not in text
        assert text.index("one\n") < text.index("two")


@pytest.mark.parametrize("mark", ["<!--", "<![CDATA[", "<!x", "<?", "</", "<a ", "<"])
def test_what_is_begun_in_a_page_again_and_again_and_never_ended_takes_no_time(
    read: Read, mark: str
) -> None:
    page = "<html><p>weft</p>" + mark * 300_000
    assert read(page.encode(), "a.html").startswith("weft")


def test_a_page_with_marks_that_nobody_knows_is_read(read: Read) -> None:
    page = b"<html><p>one<![if !supportLists]> two<![endif]> three<![what ever]> four<![ > five"
    assert read(page, "a.html") == "one two three four five"


def test_documents_are_read_whatever_their_name_says(read: Read) -> None:
    for name in ("a.pdf", "a.txt"):
        assert read(a_pdf("Hello weft", "Second page"), name) == "Hello weft\n\nSecond page"
        assert read(a_document(), name) == "First.\nleft | right\nLast."
        assert read(a_presentation(), name) == "The loom\nhas treadles\ntell of the weft"


def test_a_pdf_that_is_encrypted_against_changes_only_is_read(read: Read) -> None:
    assert read(a_pdf("Open", password=""), "a.pdf") == "Open"


@pytest.mark.parametrize(
    ("content", "name", "code", "reason"),
    [
        (b"", "a.txt", "invalid_file", "empty"),
        (a_pdf("Secret", password="sesame"), "a.pdf", "invalid_file", "password"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "a.docx", "invalid_file", "password"),
        (b"just words", "a.pdf", "invalid_file", "is no PDF"),
        (b"just words", "a.docx", "invalid_file", "is no Word document"),
        (b"<html><p>words</html>", "a.pdf", "invalid_file", "is no PDF"),
        (b"%PDF-1.4\nnonsense", "a.pdf", "invalid_file", "damaged"),
        (a_document()[:2000], "a.docx", "invalid_file", "damaged"),
        (a_pdf(""), "a.pdf", "invalid_file", "no text"),
        (an_archive(a=b"x"), "a.zip", "unsupported_file", "packed"),
        (an_archive(a=b"x"), "a.docx", "unsupported_file", "packed"),
        (an_archive(**{"word/document.xml": b"<x"}), "a.docx", "invalid_file", "damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10, "a.png", "unsupported_file", "(.png)"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10, "a.txt", "unsupported_file", "(.txt)"),
        ("Without a mark".encode("utf-16-le"), "a.txt", "unsupported_file", "(.txt)"),
        (bytes(range(1, 32)) * 100 + b"\xff", "a.bin", "unsupported_file", "(.bin)"),
        (b"x" * (21 << 20), "a.txt", "invalid_file", "more than 20 MB"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else str(value),
)
def test_what_has_no_text_says_why(
    read: Read, content: bytes, name: str, code: str, reason: str
) -> None:
    with pytest.raises(Unreadable) as refused:
        read(content, name)
    assert refused.value.code == code
    assert reason in refused.value.message


@pytest.mark.parametrize("kind", ["word/document.xml", "ppt/presentation.xml"])
def test_a_bomb_is_not_unpacked(read: Read, kind: str) -> None:
    bomb = an_archive(**{kind: b"<a/>", "x": b"\0" * (513 << 20)})
    assert len(bomb) < 1 << 20
    with pytest.raises(Unreadable, match="more than 512 MB"):
        read(bomb, "a.docx")


def test_a_bomb_in_a_page_of_a_pdf_is_not_unpacked(read: Read) -> None:
    packer = zlib.compressobj(1)
    bomb = packer.compress(b"BT /F1 12 Tf (weft) Tj ET")
    bomb += b"".join(packer.compress(b" " * (1 << 20)) for _ in range(1100)) + packer.flush()
    with pytest.raises(Unreadable):
        read(a_pdf_of(a_page(4), a_stream(bomb, " /Filter /FlateDecode")), "a.pdf")


def test_a_pdf_that_counts_its_pages_wrongly_is_counted(read: Read) -> None:
    stream = a_stream(b"BT /F1 12 Tf (weft) Tj ET")
    for told in (-1, 10**12):
        assert read(a_pdf_of(a_page(4), stream, count=told), "a.pdf") == "weft"
    many = a_pdf_of(a_page(4), stream, kids="3 0 R " * 10_001)
    with pytest.raises(Unreadable, match="more than 10000 pages"):
        read(many, "a.pdf")


def test_a_pdf_whose_pages_hold_one_another_without_end_is_refused(read: Read) -> None:
    deep = [
        f"<< /Type /Pages /Kids [{place + 4} 0 R] /Count 1 >>".encode() for place in range(5000)
    ]
    for pages in (a_pdf_of(kids="2 0 R"), a_pdf_of(*deep, a_page(4))):
        with pytest.raises(Unreadable):
            read(pages, "a.pdf")


def test_entities_that_multiply_themselves_are_refused(read: Read) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    xml = f'<?xml version="1.0"?><!DOCTYPE z [<!ENTITY l0 "ha">{laughs}]><z>&l9;</z>'
    with pytest.raises(Unreadable):
        read(a_document_of(xml), "a.docx")


def test_entities_that_name_a_file_of_the_worker_are_not_followed(
    read: Read, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("sesame")
    xml = (
        f'<?xml version="1.0"?><!DOCTYPE z [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        "<w:body><w:p><w:r><w:t>weft</w:t></w:r><w:r><w:t>&x;</w:t></w:r></w:p></w:body></w:document>"
    )
    assert read(a_document_of(xml), "a.docx") == "weft"


def test_a_file_that_takes_too_long_is_given_up(read: Read) -> None:
    with pytest.raises(Unreadable, match="too long"):
        read(a_pdf("x"), "a.pdf", seconds=0.001)


def test_an_extraction_that_is_cut_before_it_begins_reads_nothing(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"x")
    extraction = Extraction()
    extraction.cut()
    with (tmp_path / "blob").open("rb") as file, pytest.raises(Unreadable):
        extraction.text(file, "a.txt")
