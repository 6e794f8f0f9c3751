"""Becomes another program that ends when the process which started it ends.

Run as a file: `launch.py PARENT SIGNAL ACCOUNT DIRECTORY PROGRAM ARGUMENT...`. It stands between
fork and exec because Python code between the two is unsafe where the parent has threads, and it
imports nothing but the standard library because it runs as `python -I -S`.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
NOBODY_INSIDE = 65534


def main(arguments: list[str]) -> None:
    parent, death_signal, account, directory, *command = arguments
    _become(account)
    # A change of credentials clears the death signal: it is set after them, or it is not set.
    _die_with(int(parent), int(death_signal))
    if directory != "-":
        os.chdir(directory)
    os.execv(command[0], command)


def _become(account: str) -> None:
    if account == "-":
        return
    if account == "namespace":
        _enter_namespace()
        return
    user, group = (int(number) for number in account.split(":"))
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)


def _enter_namespace() -> None:
    """A user namespace where the present account goes by the name of nobody."""
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "no user namespace can be made")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{NOBODY_INSIDE} {user} 1")
    _write("/proc/self/gid_map", f"{NOBODY_INSIDE} {group} 1")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _die_with(parent: int, death_signal: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("launch.py: the process that started this one is gone")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.exit(f"launch.py: {error}")
