"""The files of a batch that is over: written in one go, outside any transaction, under a fence. A
writer that dies leaves bytes that no file has; the next begins anew, and one of them ends it."""

from contextlib import ExitStack

from api.openai.batching import results
from shared.blobs import Blobs, NewBlob
from shared.db import Database, Transaction
from shared.ids import new_id
from shared.store import batch_lines, batch_transitions, batches, files
from shared.store.batches import Batch
from shared.store.files import NewFile

# Renewed with each page.
LEASE_SECONDS = 20.0
_LINES_A_PAGE = 100


class Writing:
    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    def write(self, batch: Batch, fence: int) -> None:
        """Raises LeaseLost."""
        with ExitStack() as stack:
            output, errors = self._begin(stack), self._begin(stack)
            self._fill(batch, fence, output[1], errors[1])
            for _, blob in (output, errors):
                if blob.size:
                    blob.keep()
            with self._database.transaction() as tx:
                batches.renew(tx, batch, fence, LEASE_SECONDS)
                output_file_id = _create(tx, batch, "output", *output)
                error_file_id = _create(tx, batch, "error", *errors)
                batch_transitions.end(tx, batch, fence, output_file_id, error_file_id)

    def _begin(self, stack: ExitStack) -> tuple[str, NewBlob]:
        file_id = new_id("file")
        with self._database.transaction() as tx:
            files.begin(tx, file_id)
        blob = self._blobs.begin(file_id)
        stack.callback(blob.drop)
        return file_id, blob

    def _fill(self, batch: Batch, fence: int, output: NewBlob, errors: NewBlob) -> None:
        after = 0
        while True:
            with self._database.transaction() as tx:
                batches.renew(tx, batch, fence, LEASE_SECONDS)
                lines = batch_lines.page(tx, batch.id, after, _LINES_A_PAGE)
                texts = list(results.written(tx, batch, lines))
            if not lines:
                return
            for blob, wanted in ((output, True), (errors, False)):
                page = b"".join(text for is_output, text in texts if is_output is wanted)
                blob.write(page)
            after = lines[-1].line


def _create(tx: Transaction, batch: Batch, kind: str, file_id: str, blob: NewBlob) -> str | None:
    """None where there is nothing in it."""
    if not blob.size:
        return None
    new = NewFile(
        id=file_id,
        purpose="batch_output",
        filename=f"{batch.id}_{kind}.jsonl",
        size=blob.size,
        sha256=blob.sha256,
        life_seconds=batch.output_life_seconds,
    )
    return files.create(tx, batch.project_id, new).id
