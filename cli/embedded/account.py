"""The account PostgreSQL runs as. It refuses root, so root runs it as `nobody`.

Where nobody cannot reach the programs or the data (below /root, say), a user namespace makes root
look like nobody to PostgreSQL; where there are none (in many containers), nobody keeps root's way
through directories. No user is added and no permission of an existing directory is changed.
"""

import os
import pwd
from pathlib import Path

from cli.embedded.processes import OURSELVES, StartError, run

NAMESPACE = "namespace"


def server_account(program: Path, directory: Path, sockets: Path, log: Path) -> str:
    """The account that can run the program in these directories, which become its own."""
    if os.geteuid() != 0:
        return OURSELVES
    entry = pwd.getpwnam("nobody")
    nobody = f"{entry.pw_uid}:{entry.pw_gid}"
    for account, user, group in (
        (nobody, entry.pw_uid, entry.pw_gid),
        (NAMESPACE, 0, 0),
        (f"{nobody}:pass", entry.pw_uid, entry.pw_gid),
    ):
        if not (_give(directory, user, group) and _give(sockets, user, group)):
            continue
        if run([program, "--version"], log=log, account=account, directory=directory) == 0:
            return account
    raise StartError(
        f"PostgreSQL does not run as root, the user nobody cannot reach {program} or {directory}, "
        "and this machine allows neither user namespaces nor capabilities. Move the checkout (or "
        "TREADLE_HOME) to a directory that everyone may enter, start as another user, or set "
        "DATABASE_URL."
    )


def _give(directory: Path, user: int, group: int) -> bool:
    """Hands a tree to a user, unless it is theirs already; False where that cannot be."""
    if directory.stat().st_uid == user:
        return True
    try:
        for root, _, files in os.walk(directory, topdown=False):
            for path in [root, *(os.path.join(root, name) for name in files)]:
                os.chown(path, user, group, follow_symlinks=False)
    except OSError:
        return False
    return True
