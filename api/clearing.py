"""Deletes the bytes that no file has any more, and files whose time is over."""

import logging

from shared.blobs import Blobs
from shared.db import Database
from shared.errors import Unavailable
from shared.store import files

log = logging.getLogger(__name__)

# At once.
_MOST = 100


class Clearing:
    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    def clear(self) -> bool:
        """Whether there may be more to do."""
        with self._database.transaction() as tx:
            expired = files.expire(tx, _MOST)
        deleted = 0
        while deleted < _MOST and self._delete_one():
            deleted += 1
        if expired or deleted:
            log.info("files", extra={"expired": expired, "deleted": deleted})
        return _MOST in (expired, deleted)

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
