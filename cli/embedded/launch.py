"""Becomes another program that ends when the process which started it ends.

Run as a file: `launch.py PARENT SIGNAL ACCOUNT DIRECTORY PROGRAM ARGUMENT...`. It stands between
fork and exec because Python code between the two is unsafe where the parent has threads, and it
imports nothing but the standard library because it runs as `python -I -S`.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP = 28, 1 << 2
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION = 0x20080522
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
    """`-`: stays as it is. `namespace`, `UID:GID`, and `UID:GID:pass`: which see below."""
    if account == "-":
        return
    if account == "namespace":
        _enter_namespace()
        return
    user, group, *power = account.split(":")
    os.setgroups([])
    os.setgid(int(group))
    if power:
        # Also what access(2) asks, by which PostgreSQL looks for its programs, then counts them.
        _call("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setuid(int(user))
    if power:
        _keep_passing_through()


def _enter_namespace() -> None:
    """A user namespace where the present account goes by the name of nobody."""
    user, group = os.geteuid(), os.getegid()
    _call("unshare", CLONE_NEWUSER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{NOBODY_INSIDE} {user} 1")
    _write("/proc/self/gid_map", f"{NOBODY_INSIDE} {group} 1")


def _keep_passing_through() -> None:
    """Of all that root could, only the way past directories that others may not enter."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    # Effective, permitted and inheritable; each has its upper 32 bits in the second half.
    sets = (ctypes.c_uint32 * 6)(*[1 << CAP_DAC_OVERRIDE] * 3, 0, 0, 0)
    _call("capset", header, sets)
    _call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def _call(name: str, *arguments: object) -> None:
    words = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _die_with(parent: int, death_signal: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    _call("prctl", PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("launch.py: the process that started this one is gone")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.exit(f"launch.py: {error}")
