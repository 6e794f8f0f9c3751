"""Where a Unix socket can stand: its path has about 100 characters, a home directory may have more.

A directory under /tmp is named for the one it stands in for, so that a restart finds the same
address and a crash leaves no trail of directories. Its name can be guessed, hence the check.
"""

import hashlib
import os
import pwd
import stat
from pathlib import Path

from cli.embedded.processes import StartError

LONGEST = 100


def socket_directory(directory: Path, name: str) -> Path:
    """The directory itself, or a short 0700 one if a socket of that name does not fit in it."""
    directory = directory.resolve()
    if len(os.fsencode(directory / name)) <= LONGEST:
        return directory
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    short = Path(f"/tmp/treadle-{digest}")
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or stat.S_IMODE(found.st_mode) != 0o700:
        raise StartError(f"{short} must be a directory with mode 0700: remove it and start again.")
    if found.st_uid not in _ours():
        raise StartError(f"{short} belongs to another user: have it removed and start again.")
    return short


def _ours() -> set[int]:
    user = os.geteuid()
    return {user, pwd.getpwnam("nobody").pw_uid} if user == 0 else {user}
