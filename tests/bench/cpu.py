"""CPU and memory of groups of processes, from /proc."""

import os
from collections.abc import Mapping
from pathlib import Path

_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def milliseconds(groups: Mapping[str, list[int]]) -> dict[str, float]:
    """User and system time so far of each group: its processes and all below them; of this process
    itself, as `load`."""
    family = _family()
    return {"load": _cpu(os.getpid())} | {
        name: sum(_cpu(pid) for root in roots for pid in _below(root, family))
        for name, roots in groups.items()
    }


def megabytes(roots: list[int]) -> float:
    """Resident memory of these processes and all below them; what they share counts for each."""
    family = _family()
    pids = {pid for root in roots for pid in _below(root, family)}
    return sum(_resident(pid) for pid in pids)


def _family() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    return children


def _below(pid: int, family: dict[int, list[int]]) -> list[int]:
    return [pid, *(one for child in family.get(pid, ()) for one in _below(child, family))]


def _stat(pid: int) -> list[str]:
    """The fields behind the name; none if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _cpu(pid: int) -> float:
    """Its own, and that of its children which have ended."""
    fields = _stat(pid)
    return sum(int(value) for value in fields[11:15]) * _TICK_MS if fields else 0.0


def _resident(pid: int) -> float:
    fields = _stat(pid)
    return int(fields[21]) * _PAGE_MB if fields else 0.0
