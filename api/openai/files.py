"""/files"""

from contextlib import ExitStack
from typing import Any

from flask import jsonify
from marshmallow import ValidationError

from api import repeats, uploads
from api.auth import project_id
from api.openai import bodies
from api.openai.blueprint import Blueprint
from api.openai.schemas.faults import first_fault
from api.openai.schemas.files import CreateFile, File
from api.openai.schemas.lists import FilePageQuery, deleted, list_of
from api.repeats import once
from api.runtime import runtime, single, transaction
from shared.errors import Invalid
from shared.ids import new_id
from shared.store import files
from shared.store.files import NewFile
from shared.store.pages import PageRequest

blueprint = Blueprint("files", "Bytes with a name, for batches and tools.", beta=False)

_FORM = {"required": True, "content": {"multipart/form-data": {"schema": CreateFile}}}
_BYTES = {"type": "string", "format": "binary"}


@blueprint.route("/files", methods=["POST"])
@blueprint.doc(requestBody=_FORM)
@blueprint.response(200, File())
def create_file() -> Any:
    """Upload a file of up to 512 MB, as a multipart form."""
    uploads.require_form()
    most = runtime().settings.file_bytes
    file_id = new_id("file")
    with single() as tx:
        if most:
            files.require_room(tx, project_id(), 1, most)
    with single() as tx:
        files.begin(tx, file_id)
    with ExitStack() as upload:
        form = uploads.receive(upload, file_id)
        new = NewFile(
            id=file_id, size=form.blob.size, sha256=form.blob.sha256, **_judged(form.values)
        )
        form.blob.keep()
    repeats.remember(repr((new.filename, new.purpose, new.life_seconds, new.sha256)).encode())
    with transaction() as tx:
        return jsonify(once(tx, lambda: bodies.file(files.create(tx, project_id(), new, most))))


@blueprint.route("/files", methods=["GET"])
@blueprint.arguments(FilePageQuery(), location="query")
@blueprint.response(200, list_of(File))
def list_files(asked: tuple[PageRequest, str | None]) -> Any:
    """List files, the newest first."""
    page, purpose = asked
    with single() as tx:
        return files.list_page(tx, project_id(), page, purpose)


@blueprint.route("/files/<file_id>", methods=["GET"])
@blueprint.response(200, File())
def get_file(file_id: str) -> Any:
    """Retrieve what a file is, without its bytes."""
    with single() as tx:
        return files.get(tx, project_id(), file_id)


@blueprint.route("/files/<file_id>", methods=["DELETE"])
@blueprint.response(200, deleted("file", left_as="file"))
def delete_file(file_id: str) -> Any:
    """Delete a file."""
    with transaction() as tx:
        files.delete(tx, project_id(), file_id)
    return {"id": file_id}


@blueprint.route("/files/<file_id>/content", methods=["GET"])
@blueprint.response(200, _BYTES, content_type="application/octet-stream")
def get_file_content(file_id: str) -> Any:
    """Retrieve a file's bytes, or a range of them. Those of purpose `assistants` stay here."""
    with single() as tx:
        file = files.get(tx, project_id(), file_id)
    if file.purpose == "assistants":
        raise Invalid(f"Not allowed to download files of purpose: {file.purpose}")
    return uploads.send(file)


def _judged(values: dict[str, Any]) -> dict[str, Any]:
    try:
        return _FORM_SCHEMA.load(values)
    except ValidationError as error:
        raise first_fault(error.messages_dict) from None


_FORM_SCHEMA: Any = CreateFile()
