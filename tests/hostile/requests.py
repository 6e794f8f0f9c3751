"""What somebody sends who wishes no good: for each route the same tricks, byte by byte."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from tests.integration.wire import Route


@dataclass(frozen=True)
class Target:
    route: Route
    path: str  # with ids of objects that there are
    body: bytes
    secret: str


@dataclass(frozen=True)
class Hostile:
    trick: str
    raw: bytes
    half: bool = False  # the rest never comes


def requests(target: Target) -> Iterator[Hostile]:
    yield from _framings(target)
    yield from _keys(target)
    yield from _paths(target)
    yield from _queries(target)
    if target.route.method == "POST":
        yield from _bodies(target)


def _framings(target: Target) -> Iterator[Hostile]:
    length = str(len(target.body))
    both = {"Content-Length": length, "Transfer-Encoding": "chunked"}
    yield Hostile("length and chunks", _raw(target, fields=both, framed=False))
    yield Hostile("two lengths", _raw(target, fields={"content-length": "3"}))
    for name, value in (("negative", "-1"), ("signed", "+5"), ("hexadecimal", "0x10")):
        yield Hostile(
            f"{name} length", _raw(target, fields={"Content-Length": value}, framed=False)
        )
    for coding in ("gzip, chunked", "chunked, identity", "xchunked", "\x0bchunked"):
        fields = {"Transfer-Encoding": coding}
        yield Hostile("odd transfer coding", _raw(target, fields=fields, framed=False))
    chunked = {"Transfer-Encoding": "chunked"}
    for size in (b"-1", b"ffffffffffffffff1", b"zz", b"5;" + b"x" * 9000):
        raw = _raw(target, fields=chunked, framed=False, body=size + b"\r\nhello\r\n0\r\n\r\n")
        yield Hostile("odd chunk", raw)
    yield Hostile("folded header", _raw(target, fields={"X-A": "1\r\n 2"}))
    yield Hostile("bare line feed in a header", _raw(target, fields={"X-A": "1\nX-B: 2"}))
    yield Hostile("NUL in a header", _raw(target, fields={"X-A": "a\0b"}))
    yield Hostile("space before the colon", _raw(target, fields={"X-A ": "1"}))
    yield Hostile("a header of 100 KB", _raw(target, fields={"X-A": "a" * 100_000}))
    yield Hostile("500 headers", _raw(target, fields={f"X-{n}": "1" for n in range(500)}))
    yield Hostile("HTTP/9.9", _raw(target).replace(b"HTTP/1.1", b"HTTP/9.9", 1))
    yield Hostile("no host", _raw(target).replace(b"Host: t\r\n", b"", 1))
    for method in ("TRACE", "CONNECT", "FOO", "get", "P OST", "OPTIONS", "PATCH"):
        yield Hostile(f"method {method}", _raw(target, method=method))
    yield Hostile("expects a teapot", _raw(target, fields={"Expect": "418-teapot"}))
    yield Hostile("an upgrade", _raw(target, fields={"Upgrade": "h2c", "Connection": "Upgrade"}))
    yield Hostile("cut off in the head", _raw(target)[:40], half=True)


def _keys(target: Target) -> Iterator[Hostile]:
    for value in ("", "Bearer", "Bearer ", "Basic YTpi", "Bearer \xff\xfe", "Bearer " + "k" * 9000):
        yield Hostile("no key that is one", _raw(target, authorization=value))
    wrong = "Bearer tr-" + "0" * 44
    yield Hostile("a wrong key", _raw(target, authorization=wrong))
    yield Hostile("two keys", _raw(target, fields={"api-key": "tr-other"}))
    yield Hostile("two keys", _raw(target, fields={"authorization": wrong}))
    for key in ("", "a" * 256, "k\xe9y", "two words"):
        yield Hostile("odd idempotency key", _raw(target, fields={"Idempotency-Key": key}))
    for name, value in (
        ("OpenAI-Beta", "assistants=v1"),
        ("Prefer", "wait=-1, wait=99999999999"),
        ("x-stainless-retry-count", "9" * 400),
        ("Treadle-Lane", "fast"),
        ("Treadle-Busy-Thread", "\xff"),
        ("Last-Event-ID", "\xff\xff"),
        ("Accept", "text/html"),
    ):
        yield Hostile(f"odd {name}", _raw(target, fields={name: value}))


def _paths(target: Target) -> Iterator[Hostile]:
    for piece in ("%00", "%ff", "%2e%2e%2f", "../../etc/passwd", "%F0%9F%92%A9", "x" * 5000, "'--"):
        yield Hostile("odd id", _raw(target, path=_with_ids(target, piece)))
    path = target.path
    for odd in (f"{path}/", f"/{path}", f"{path};a=1", f"{path}%20", path.replace("/", "//")):
        yield Hostile("odd path", _raw(target, path=odd))
    yield Hostile("an address for a path", _raw(target, path=f"http://evil.test{path}"))
    yield Hostile("not ASCII in the path", _raw(target, path=f"{path}\xe9"))


def _queries(target: Target) -> Iterator[Hostile]:
    for query in (
        *("limit=-1", "limit=0", "limit=1e9", "limit=" + "9" * 400, "limit=NaN", "limit="),
        *("order=up", "after=%00", "before=%ff", "after=a&before=b", "run_id=%27%3B--"),
        *("limit=1&limit=2", "a" * 8000, "%", "include[]=\xff", "=&=&&", "stream=true"),
    ):
        yield Hostile("odd query", _raw(target, path=f"{target.path}?{query}"))


def _bodies(target: Target) -> Iterator[Hostile]:
    deep = 50_000
    for trick, body in (
        ("no JSON", b"{"),
        ("nothing", b""),
        ("no object", b"[1]"),
        ("no object", b'"a"'),
        ("no object", b"null"),
        ("NaN", b'{"metadata": NaN}'),
        ("a huge number", b'{"limit": 1e999, "temperature": -1e400}'),
        ("a huge number", b'{"max_prompt_tokens": ' + b"9" * 5000 + b"}"),
        ("deep lists", b'{"metadata": ' + b"[" * deep + b"]" * deep + b"}"),
        ("deep objects", b'{"a":' * deep + b"1" + b"}" * deep),
        ("NUL in a text", json.dumps({"metadata": {"a": "\0"}, "name": "\0"}).encode()),
        ("half a surrogate", b'{"metadata": {"a": "\\ud800"}, "instructions": "\\udfff"}'),
        ("no UTF-8", b'{"metadata": {"\xff": "\xfe"}}'),
        ("UTF-16", '{"metadata": {}}'.encode("utf-16")),
        ("a mark before it", b"\xef\xbb\xbf{}"),
        ("a name twice", b'{"metadata": {}, "metadata": 5}'),
        ("ten thousand names", json.dumps({f"a{n}": n for n in range(10_000)}).encode()),
        ("wrong kinds", _all_of("wrong")),
        ("wrong kinds", _all_of([])),
        ("wrong kinds", _all_of({"type": ["x"]})),
        ("wrong kinds", _all_of(-1)),
        ("wrong kinds", _all_of(True)),
    ):
        yield Hostile(trick, _raw(target, body=body))
    packed = gzip.compress(target.body)
    yield Hostile("packed", _raw(target, body=packed, fields={"Content-Encoding": "gzip"}))
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "\xff"):
        yield Hostile("another kind of body", _raw(target, kind=kind))
    yield Hostile("too large", _raw(target, body=b'{"a": "' + b"a" * (5 << 20) + b'"}'))
    yield Hostile("shorter than it says", _raw(target)[:-2] if target.body else b"", half=True)


def _all_of(value: object) -> bytes:
    """For each name that some route knows, the same value."""
    names = (
        *("assistant_id", "model", "instructions", "tools", "tool_resources", "metadata"),
        *("temperature", "top_p", "response_format", "messages", "role", "content", "thread"),
        *("attachments", "additional_messages", "truncation_strategy", "tool_choice", "stream"),
        *("max_prompt_tokens", "max_completion_tokens", "tool_outputs", "parallel_tool_calls"),
        *("file_id", "file_ids", "files", "attributes", "chunking_strategy", "expires_after"),
        *("query", "filters", "ranking_options", "max_num_results"),
    )
    return json.dumps(dict.fromkeys(names, value)).encode()


def _with_ids(target: Target, piece: str) -> str:
    path = target.route.rule
    for name in target.route.id_names:
        path = path.replace(f"<{name}>", piece)
    return path if target.route.id_names else f"{path}/{quote(piece, safe='%')}"


def _raw(
    target: Target,
    *,
    method: str = "",
    path: str = "",
    authorization: str | None = None,
    fields: dict[str, str] | None = None,
    body: bytes | None = None,
    kind: str = "application/json",
    framed: bool = True,
) -> bytes:
    key = f"Bearer {target.secret}" if authorization is None else authorization
    sent = target.body if body is None else body
    head = {"Host": "t", "Authorization": key, "Content-Type": kind, "Connection": "close"}
    lines = [f"{method or target.route.method} {path or target.path} HTTP/1.1"]
    if framed:
        head["Content-Length"] = str(len(sent))
    lines += [f"{name}: {value}" for name, value in {**head, **(fields or {})}.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + sent
