"""HTML: what a reader of the page sees of its text."""

import re
from html.parser import HTMLParser

_UNSEEN = frozenset({"script", "style", "template", "noscript", "head"})
_INLINE = frozenset(
    {"a", "abbr", "b", "cite", "code", "em", "i", "kbd", "mark", "q", "s", "small", "span"}
    | {"strong", "sub", "sup", "time", "u", "var"}
)


def text_of(page: str) -> str:
    reader = _Reader()
    reader.feed(page)
    reader.end()
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in "".join(reader.texts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self._unseen: str | None = None
        self._titled = False

    def end(self) -> None:
        """Browsers take what is begun and never ended to the end of the page; the library would
        look for its end from each mark on."""
        left = self.rawdata
        if re.match("<[!?/a-zA-Z]", left):
            self.feed("-->" if left.startswith("<!--") else ">")
        self.close()

    def parse_html_declaration(self, i: int) -> int:
        """Of marks that it does not know the library would give up the page."""
        if self.rawdata.startswith("<![", i):
            return self.parse_bogus_comment(i)
        return super().parse_html_declaration(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._titled = tag == "title"
        if self._unseen is None and tag in _UNSEEN:
            self._unseen = tag
        # A page that never closes its head has a body all the same.
        if tag == "body" and self._unseen == "head":
            self._unseen = None
        self._part(tag)

    def handle_endtag(self, tag: str) -> None:
        self._titled = False
        if tag == self._unseen:
            self._unseen = None
        self._part(tag)

    def handle_data(self, data: str) -> None:
        if self._unseen is None or self._titled:
            self.texts.append(data)

    def _part(self, tag: str) -> None:
        if tag not in _INLINE:
            self.texts.append("\n")
