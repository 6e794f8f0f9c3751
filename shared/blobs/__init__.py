"""The bytes of files: in a directory that all APIs and workers share, or in a bucket of an S3.

A blob has a name of ours, an id, never a client's. What can be read is complete. What became of
those whose writer died, and of those whose file was deleted, PostgreSQL knows: see
`store/files.py`.
"""

from importlib import import_module

from shared.blobs.base import PIECE, Blobs, NewBlob, Wait, in_place
from shared.blobs.directory import Directory
from shared.errors import SettingsError
from shared.settings import Settings

__all__ = ["PIECE", "Blobs", "NewBlob", "open_blobs"]

_NO_CLIENT = (
    "TREADLE_BLOBS names S3, whose client is not installed here: install the extra, treadle[s3]."
)


def open_blobs(settings: Settings, wait: Wait = in_place) -> Blobs:
    """`wait` is how a call is made that waits for this machine's disk. Nothing is asked yet. Raises
    SettingsError."""
    if not settings.blobs_are_in_s3:
        return Directory(settings.blob_directory, wait)
    # Only now: a client that nobody asked for costs every process a tenth of a second and memory.
    try:
        s3 = import_module("shared.blobs.s3")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("shared"):
            raise
        raise SettingsError(_NO_CLIENT) from None
    return s3.Bucket(settings.blobs, wait)
