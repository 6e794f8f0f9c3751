"""Documents of the kinds that are read from vector stores, each made here byte by byte."""

import io
import zipfile

import docx
import pptx
from pptx.util import Inches
from pypdf import PdfReader, PdfWriter


def a_pdf(*texts: str, password: str | None = None) -> bytes:
    """A page of each text."""
    pages = [3 + 2 * number for number in range(len(texts))]
    objects: list[bytes] = []
    for page, text in zip(pages, texts, strict=True):
        objects += [a_page(page + 1), a_stream(f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET".encode())]
    kids = " ".join(f"{page} 0 R" for page in pages)
    whole = a_pdf_of(*objects, kids=kids, count=len(pages))
    if password is None:
        return whole
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(whole)))
    writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def a_pdf_of(*objects: bytes, kids: str = "3 0 R", count: int = 1) -> bytes:
    """Written by hand: the first object given is number 3."""
    pages = f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode()
    body = b"%PDF-1.4\n"
    places: list[int] = []
    for number, one in enumerate((b"<< /Type /Catalog /Pages 2 0 R >>", pages, *objects), 1):
        places.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n{table}trailer\n"
    end += f"<< /Size {len(places) + 1} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF"
    return body + end.encode()


def a_page(content: int) -> bytes:
    """Whose content is the object of that number."""
    return (
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {content} 0 R"
        " /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica"
        " >> >> >> >>"
    ).encode()


def a_stream(content: bytes, more: str = "") -> bytes:
    return b"<< /Length %d%b >>\nstream\n%b\nendstream" % (len(content), more.encode(), content)


def a_document() -> bytes:
    document = docx.Document()
    document.add_paragraph("First.")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    document.add_paragraph("Last.")
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def a_document_of(xml: str) -> bytes:
    """A Word document whose text is this."""
    out = io.BytesIO()
    good = zipfile.ZipFile(io.BytesIO(a_document()))
    with good, zipfile.ZipFile(out, "w") as made:
        for member in good.infolist():
            given = xml.encode() if member.filename == "word/document.xml" else good.read(member)
            made.writestr(member.filename, given)
    return out.getvalue()


def a_presentation() -> bytes:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = "The loom"
    box = slide.shapes.add_textbox(Inches(1), Inches(1), Inches(3), Inches(1))
    box.text_frame.text = "has treadles"
    slide.notes_slide.notes_text_frame.text = "tell of the weft"
    out = io.BytesIO()
    presentation.save(out)
    return out.getvalue()


def an_archive(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()
