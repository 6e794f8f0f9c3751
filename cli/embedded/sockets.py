"""Where a Unix socket can stand: its path has about 100 characters, a home directory may have more.

A directory under /tmp is named for the one it stands in for, so that a restart finds the same
address and a crash leaves no trail of directories. Its name can be guessed, hence the check.
"""

import hashlib
import os
import pwd
import shutil
import stat
from pathlib import Path

from cli.embedded.processes import StartError

LONGEST = 100


def socket_directory(directory: Path, name: str) -> Path:
    """The directory itself, or a short one if a socket of that name does not fit in it."""
    if len(os.fsencode(directory / name)) <= LONGEST:
        return directory
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(f"/tmp/treadle-{digest}")


def make_private(directory: Path) -> None:
    """Makes sure that the directory is there, ours, and closed to others."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in _ours():
        raise StartError(f"{directory} belongs to another user: have it removed and start again.")
    directory.chmod(0o700)


def discard(sockets: Path, directory: Path) -> None:
    """Removes the short directory, if it is one."""
    if sockets != directory:
        shutil.rmtree(sockets, ignore_errors=True)


def _ours() -> set[int]:
    user = os.geteuid()
    return {user, pwd.getpwnam("nobody").pw_uid} if user == 0 else {user}
