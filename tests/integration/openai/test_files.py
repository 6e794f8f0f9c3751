"""/files: uploads as clients send them, lists, content, and what is refused."""

import io
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from flask import Flask
from openai import BadRequestError, NotFoundError, OpenAI

from api import received, uploads
from api.clearing import Clearing
from shared.blobs import open_blobs
from shared.db import Database
from shared.settings import Settings
from tests.conftest import Caller, an_app, client_as, http_as
from tests.factories import a_file, an_assistant
from tests.integration.wire import call, error_of
from tests.places import away, in_both, kept

BOUNDARY = "----a-boundary"
KIND = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
PURPOSES = ["fine-tune", "assistants", "batch", "user_data", "vision", "evals"]
NAMED = 'form-data; name="file"; filename="notes.txt"'


def a_part(disposition: str, content: bytes, *, line_end: bytes = b"\r\n") -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n"
    return head.encode("utf-8", "surrogateescape") + content + line_end


def a_form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def a_value(name: str, value: str) -> bytes:
    return a_part(f'form-data; name="{name}"', value.encode())


PURPOSE = a_value("purpose", "user_data")


def post(app: Flask, caller: Caller, content: bytes, **headers: str) -> httpx2.Response:
    return call(app, caller.secret, "POST", "/v1/files", content=content, headers=KIND | headers)


@pytest.fixture
def cleared(settings: Settings, database: Database) -> Clearing:
    return Clearing(database, open_blobs(settings))


@in_both
def test_a_file_comes_back_as_it_was_given(client: OpenAI) -> None:
    content = bytes(range(256)) * 5000
    file = client.files.create(file=("data.bin", content), purpose="user_data")
    assert file.to_dict() == {
        "id": file.id,
        "object": "file",
        "bytes": len(content),
        "created_at": file.created_at,
        "expires_at": None,
        "filename": "data.bin",
        "purpose": "user_data",
        "status": "processed",
        "status_details": None,
    }
    assert client.files.retrieve(file.id) == file
    assert client.files.content(file.id).read() == content
    assert client.files.list().data == [file]


def test_a_file_that_is_read_from_a_stream_or_has_no_name_is_taken_as_the_client_sends_it(
    client: OpenAI,
) -> None:
    streamed = client.files.create(file=io.BytesIO(b"x" * 1000), purpose="user_data")
    bare = client.files.create(file=b"y", purpose="user_data")
    assert (streamed.bytes, bare.bytes) == (1000, 1)
    assert client.files.content(bare.id).text == "y"


@pytest.mark.parametrize("purpose", PURPOSES)
def test_every_purpose_of_the_wire_is_taken(app: Flask, caller: Caller, purpose: str) -> None:
    """Of `evals` the official client does not expect an answer."""
    made = post(app, caller, a_form(a_part(NAMED, b"x"), a_value("purpose", purpose))).json()
    assert made["purpose"] == purpose
    lives = 30 * 86400 if purpose == "batch" else None
    assert (made["expires_at"] and made["expires_at"] - made["created_at"]) == lives


def test_the_purposes_of_outputs_cannot_be_uploaded(client: OpenAI, settings: Settings) -> None:
    for purpose in ("batch_output", "assistants_output", "world_domination"):
        with pytest.raises(BadRequestError) as refused:
            client.files.create(file=b"x", purpose=purpose)  # type: ignore[arg-type]
        assert refused.value.body == {
            "message": f"'{purpose}' is not one of ['fine-tune', 'assistants', 'batch', 'user_data',"
            " 'vision', 'evals'] - 'purpose'",
            "type": "invalid_request_error",
            "param": "purpose",
            "code": None,
        }
    assert kept(settings) == set()


def test_a_file_lives_as_long_as_its_caller_says(client: OpenAI) -> None:
    file = client.files.create(
        file=b"x", purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert file.expires_at == file.created_at + 3600


@pytest.mark.parametrize(
    ("values", "param", "code"),
    [
        ({"expires_after[anchor]": "created_at"}, "expires_after[seconds]", "missing_required_parameter"),
        ({"expires_after[seconds]": "3600"}, "expires_after[anchor]", "missing_required_parameter"),
        ({"expires_after[anchor]": "last_active_at", "expires_after[seconds]": "3600"}, "expires_after[anchor]", "invalid_value"),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "3599"}, "expires_after[seconds]", "integer_below_min_value"),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "2592001"}, "expires_after[seconds]", "integer_above_max_value"),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "soon"}, "expires_after[seconds]", "invalid_type"),
        ({"expires_after": "x"}, "expires_after", "unknown_parameter"),
        ({"id": "file-x"}, "id", "unknown_parameter"),
        ({"purpose": "user\0data"}, "purpose", None),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(
    app: Flask, caller: Caller, settings: Settings, values: dict[str, str], param: str, code: str
) -> None:
    parts = [PURPOSE, *(a_value(name, value) for name, value in values.items())]
    error = error_of(post(app, caller, a_form(a_part(NAMED, b"x"), *parts)))
    assert (error["param"], error["code"]) == (param, code)
    assert kept(settings) == set()


def test_parts_may_come_in_any_order_and_names_as_any_client_writes_them(
    app: Flask, caller: Caller
) -> None:
    dotnet = a_part("form-data; name=file; filename=x.jsonl; filename*=utf-8''x.jsonl", b"1")
    unquoted = a_part("form-data; name=purpose", b"batch")
    for parts in ((dotnet, unquoted), (unquoted, dotnet)):
        made = post(app, caller, a_form(*parts)).json()
        assert (made["filename"], made["purpose"], made["bytes"]) == ("x.jsonl", "batch", 1)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "a/b.txt",
        "C:\\x",
        "😀.txt",
        "né.txt",
        "x" * 300,
        "'; DROP TABLE",
        ".",
        "a b",
    ],
)
def test_a_name_is_kept_as_it_is_and_names_nothing_here(
    app: Flask, caller: Caller, settings: Settings, name: str
) -> None:
    escaped = name.replace("\\", "\\\\")
    answer = post(
        app, caller, a_form(a_part(f'form-data; name="file"; filename="{escaped}"', b"x"), PURPOSE)
    )
    made = answer.json()
    assert made["filename"] == name
    content = call(app, caller.secret, "GET", f"/v1/files/{made['id']}/content")
    assert content.content == b"x"
    assert content.headers["content-disposition"].isascii()
    assert kept(settings) == {made["id"]}


@pytest.mark.parametrize(
    ("disposition", "code"),
    [
        ('form-data; name="file"; filename="a\0b"', "invalid_value"),
        (f'form-data; name="file"; filename="{"x" * 513}"', "string_above_max_length"),
        ('form-data; name="file"; filename=""', "missing_required_parameter"),
        ('form-data; name="file"', "invalid_type"),
        ('form-data; name="other"; filename="x"', "missing_required_parameter"),
    ],
)
def test_a_file_without_a_name_that_can_be_kept_is_refused(
    app: Flask, caller: Caller, settings: Settings, disposition: str, code: str
) -> None:
    error = error_of(post(app, caller, a_form(a_part(disposition, b"x"), PURPOSE)))
    assert error["code"] == code
    assert error["param"] == "file"
    assert kept(settings) == set()


@in_both
def test_an_empty_file_is_a_file(app: Flask, caller: Caller) -> None:
    made = post(app, caller, a_form(a_part(NAMED, b""), PURPOSE)).json()
    assert made["bytes"] == 0
    content = call(app, caller.secret, "GET", f"/v1/files/{made['id']}/content")
    assert (content.status_code, content.content) == (200, b"")


WHOLE = a_form(a_part(NAMED, b"x" * 1000), PURPOSE)
BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "no form": b'{"purpose": "batch"}',
    "half a file": WHOLE[:500],
    "no end": WHOLE[:-4],
    "half a head": WHOLE[:60],
    "no end of the head": f"--{BOUNDARY}\r\nContent-Disposition: {NAMED}".encode(),
    "no disposition": a_form(f"--{BOUNDARY}\r\nX: y\r\n\r\nx\r\n".encode()),
    "no name": a_form(a_part("form-data", b"x"), PURPOSE),
    "no UTF-8 in a name": a_form(
        a_part('form-data; name="file"; filename="\udcff"', b"x"), PURPOSE
    ),
    "no UTF-8 in a value": a_form(
        a_part(NAMED, b"x"), a_part('form-data; name="purpose"', b"\xff")
    ),
    "two files": a_form(a_part(NAMED, b"x"), a_part(NAMED, b"y"), PURPOSE),
    "no file": a_form(PURPOSE),
    "no purpose": a_form(a_part(NAMED, b"x")),
    "no part": a_form(),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_form_is_refused_and_leaves_nothing(
    app: Flask, caller: Caller, settings: Settings, database: Database, name: str
) -> None:
    error_of(post(app, caller, BROKEN[name]))
    assert kept(settings) == set()
    with database.autocommit() as tx:
        assert tx.value("SELECT count(*) FROM files") == 0


@pytest.mark.parametrize(
    "kind", ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=é"]
)
def test_what_is_no_multipart_form_is_refused(app: Flask, caller: Caller, kind: str) -> None:
    error_of(post(app, caller, WHOLE, **{"Content-Type": kind}))


@in_both
def test_what_is_too_large_is_refused_however_it_comes(
    app: Flask, caller: Caller, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "LARGEST_FILE", 1000)
    assert post(app, caller, WHOLE).status_code == 200
    for size in (1001, 3_000_000):
        form = a_form(a_part(NAMED, b"x" * size), PURPOSE)
        assert error_of(post(app, caller, form), 413)["code"] == "request_too_large"
    value = a_form(a_part(NAMED, b"x"), a_value("purpose", "x" * 100_000))
    assert error_of(post(app, caller, value), 413)["code"] == "request_too_large"
    many = a_form(a_part(NAMED, b"x"), *[PURPOSE] * 30)
    assert error_of(post(app, caller, many), 413)["code"] == "request_too_large"
    assert len(kept(settings)) == 1


@in_both
def test_a_body_that_comes_too_slowly_is_left(
    app: Flask, caller: Caller, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(received, "_SECONDS", 0.0)
    monkeypatch.setattr(received, "_SLOWEST_BYTES_PER_SECOND", 1 << 40)
    form = a_form(a_part(NAMED, b"x" * 10_000_000), PURPOSE)
    assert error_of(post(app, caller, form), 408)["message"] == "The request body came too slowly."
    assert kept(settings) == set()


@in_both
def test_a_range_is_answered_with_that_range(client: OpenAI, http: httpx2.Client) -> None:
    file = client.files.create(file=b"0123456789", purpose="user_data")

    def get(range_: str) -> httpx2.Response:
        return http.get(f"files/{file.id}/content", headers={"Range": range_})

    part = get("bytes=2-4")
    assert (part.status_code, part.content) == (206, b"234")
    assert part.headers["Content-Range"] == "bytes 2-4/10"
    assert get("bytes=7-").content == b"789"
    assert get("bytes=-1").content == b"9"
    for whole in ("bytes=0-1,3-4", "lines=1-2", "bytes=x"):
        assert (get(whole).status_code, get(whole).content) == (200, b"0123456789")
    error_of(get("bytes=10-"), 416)


def test_what_was_uploaded_for_assistants_is_not_given_back(client: OpenAI) -> None:
    file = client.files.create(file=b"x", purpose="assistants")
    with pytest.raises(
        BadRequestError, match="Not allowed to download files of purpose: assistants"
    ):
        client.files.content(file.id)


def test_a_file_that_is_not_there_is_not_found(client: OpenAI, app: Flask, caller: Caller) -> None:
    for name in ("fake_id", "file-x", "file-%00", "%F0%9F%98%80", "%FF", "x" * 300):
        for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/content")):
            answer = call(app, caller.secret, method, f"/v1/files/{name}{rest}")
            error = error_of(answer, 404)
            assert error["param"] == "id"
    with pytest.raises(NotFoundError) as refused:
        client.files.retrieve("fake_id")
    assert refused.value.body == {
        "message": "No such File object: fake_id",
        "type": "invalid_request_error",
        "param": "id",
        "code": None,
    }


@in_both
def test_a_deleted_file_is_gone_and_then_its_bytes(
    client: OpenAI, settings: Settings, cleared: Clearing
) -> None:
    file = client.files.create(file=b"x", purpose="user_data")
    assert client.files.delete(file.id).to_dict() == {
        "id": file.id,
        "object": "file",
        "deleted": True,
    }
    for act in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(NotFoundError):
            act(file.id)
    assert kept(settings) == {file.id}
    cleared.clear()
    assert kept(settings) == set()


@in_both
def test_an_expired_file_is_gone_at_once_and_then_its_bytes(
    client: OpenAI, database: Database, settings: Settings, cleared: Clearing
) -> None:
    stays = client.files.create(file=b"y", purpose="batch")
    file = client.files.create(file=b"x", purpose="batch")
    with database.autocommit() as tx:
        tx.execute("UPDATE files SET expires_at = now() WHERE id = %(id)s", {"id": file.id})
    with pytest.raises(NotFoundError):
        client.files.retrieve(file.id)
    assert client.files.list().data == [stays]
    cleared.clear()
    assert kept(settings) == {stays.id}
    with database.autocommit() as tx:
        assert tx.values("SELECT id FROM files") == [stays.id]
        assert tx.values("SELECT id FROM unowned_blobs") == []


@in_both
def test_bytes_whose_writer_died_are_deleted_when_no_upload_can_still_be_theirs(
    database: Database, settings: Settings, cleared: Clearing
) -> None:
    with database.transaction() as tx:
        for file_id in ("file-unfinished", "file-whole"):
            tx.execute(
                "INSERT INTO unowned_blobs (id, due_at) VALUES (%(id)s, now() + interval '1 hour')",
                {"id": file_id},
            )
    whole = open_blobs(settings).begin("file-whole")
    whole.write(b"x")
    whole.keep()
    whole.drop()
    unfinished = open_blobs(settings).begin("file-unfinished")
    unfinished.write(bytes(9_000_000))
    cleared.clear()
    assert kept(settings) == {"file-unfinished.part", "file-whole"}
    with database.autocommit() as tx:
        tx.execute("UPDATE unowned_blobs SET due_at = now()")
    cleared.clear()
    assert kept(settings) == set()
    unfinished.drop()


@in_both
def test_bytes_that_cannot_be_reached_are_asked_for_again_later(
    app: Flask,
    http: httpx2.Client,
    client: OpenAI,
    settings: Settings,
    caller: Caller,
    cleared: Clearing,
    request: pytest.FixtureRequest,
) -> None:
    file = client.files.create(file=b"x", purpose="user_data")
    with away(settings, request):
        for answer in (http.get(f"files/{file.id}/content"), post(app, caller, WHOLE)):
            assert answer.status_code == 503
            assert answer.json()["error"]["type"] == "server_error"
            assert int(answer.headers["Retry-After"]) > 0
        gone = client.files.create
        assert client.files.delete(file.id).deleted
        cleared.clear()
    assert kept(settings) == {file.id}
    assert gone(file=b"y", purpose="user_data").bytes == 1


def test_a_projects_files_have_together_as_many_bytes_as_they_may(
    settings: Settings, caller: Caller
) -> None:
    with (
        an_app(settings, file_bytes=1000) as app,
        client_as(app, caller.secret) as client,
    ):
        first = client.files.create(file=b"x" * 600, purpose="user_data")
        for size in (401, 10_000):
            with pytest.raises(BadRequestError, match="exceeded your file storage quota"):
                client.files.create(file=b"x" * size, purpose="user_data")
        client.files.create(file=b"x" * 400, purpose="user_data")
        with pytest.raises(BadRequestError, match="exceeded your file storage quota"):
            client.files.create(file=b"x", purpose="user_data")
        client.files.delete(first.id)
        client.files.create(file=b"x" * 600, purpose="user_data")


def test_lists_are_filtered_ordered_and_paged(
    client: OpenAI, http: httpx2.Client, database: Database, caller: Caller
) -> None:
    made = [a_file(database, caller.project_id, purpose=PURPOSES[n % 2]).id for n in range(6)]
    assert [file.id for file in client.files.list()] == made[::-1]
    assert [file.id for file in client.files.list(order="asc", limit=2)] == made
    of_one = client.files.list(purpose=PURPOSES[0])
    assert [file.id for file in of_one] == made[::2][::-1]
    page = client.files.list(order="asc", limit=2, after=made[1])
    assert ([file.id for file in page.data], page.has_more) == (made[2:4], True)
    assert client.files.list(purpose="none").data == []
    empty = http.get("files", params={"purpose": "none"}).json()
    assert empty == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    assert http.get("files", params={"limit": 10_000}).status_code == 200
    for limit, code in ((10_001, "integer_above_max_value"), (0, "integer_below_min_value")):
        assert error_of(http.get("files", params={"limit": limit}))["code"] == code


def test_the_same_upload_with_the_same_key_is_one_file(client: OpenAI) -> None:
    key = {"Idempotency-Key": "k"}
    first, again = (
        client.files.create(file=b"x", purpose="user_data", extra_headers=key) for _ in range(2)
    )
    assert first == again
    assert client.files.list().data == [first]
    with pytest.raises(BadRequestError, match="was used for another request"):
        client.files.create(file=b"y", purpose="user_data", extra_headers=key)


def test_tools_may_name_the_projects_own_files_only(
    client: OpenAI, app: Flask, database: Database, caller: Caller
) -> None:
    own = a_file(database, caller.project_id)
    resources: Any = {"code_interpreter": {"file_ids": [own.id]}}
    assistant = client.beta.assistants.create(model="m", tool_resources=resources)
    assert assistant.to_dict()["tool_resources"] == resources
    an_assistant(database, caller.project_id)
    with http_as(app, caller.secret) as http:
        resources["code_interpreter"]["file_ids"] = ["file-none"]
        error = error_of(http.post("threads", json={"tool_resources": resources}), 404)
    assert error["message"] == "No such File object: file-none"


def test_files_need_no_beta_header(settings: Settings, caller: Caller) -> None:
    with an_app(replace(settings, strict_beta=True)) as app, http_as(app, caller.secret) as http:
        assert http.get("files").status_code == 200
