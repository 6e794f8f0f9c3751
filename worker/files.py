"""Deletes what is left of files that are gone, and files whose time is over.

In a thread of its own: a disk that hangs must not keep the sweep from the runs. Every worker does
it; they share the work row by row.
"""

import logging
import random
import threading

from shared.blobs import Blobs
from shared.db import Database
from shared.errors import Unavailable
from shared.store import files

log = logging.getLogger(__name__)

_SECONDS = 5.0
# In one round.
_MOST = 500


class Files:
    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._stopping = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="files", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(_SECONDS * random.uniform(0.5, 1.0)):
            try:
                self.clear()
            except Unavailable as error:
                log.warning("files not cleared", extra={"error": repr(error)})
            except Exception:
                log.exception("files not cleared")

    def clear(self) -> None:
        """One round, bounded."""
        with self._database.transaction() as tx:
            expired = files.expire(tx, _MOST)
        deleted = 0
        while deleted < _MOST and not self._stopping.is_set() and self._delete_one():
            deleted += 1
        if expired or deleted:
            log.info("files", extra={"expired": expired, "deleted": deleted})

    def _delete_one(self) -> bool:
        with self._database.transaction() as tx:
            blob_id = files.due_blob(tx)
            if blob_id is None:
                return False
            try:
                self._blobs.delete(blob_id)
            except Unavailable as error:
                log.warning("files not cleared", extra={"error": repr(error)})
                files.postpone_blob(tx, blob_id)
            else:
                files.forget_blob(tx, blob_id)
        return True
