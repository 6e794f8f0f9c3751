"""CPU and memory of groups of processes, from /proc; and how quick the machine is at the moment."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
_LOOP = 50_000
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


def loop_ms() -> float:
    """What the same small loop takes now, on the mean of all cores: of a machine that is shared,
    the speed changes from one second to the next, and of figures that were not taken in one moment
    it says what they are worth."""
    cores = os.sched_getaffinity(0)
    try:
        return mean(_quickest_on(core) for core in cores)
    finally:
        os.sched_setaffinity(0, cores)


def _quickest_on(core: int) -> float:
    os.sched_setaffinity(0, {core})
    return min(_loop_once() for _ in range(3)) * 1000


def _loop_once() -> float:
    began = time.perf_counter()
    sum(len(str(number)) for number in range(_LOOP))
    return time.perf_counter() - began


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
