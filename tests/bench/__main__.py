"""`python -m tests.bench`: each workload several times, the medians of its figures, and the ratios
between them. Written as JSON too where `--json` says so.

Nothing here is asserted but that each answer is its own question's: speed is not a test.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median

from tests.bench import cpu, plot, report
from tests.bench.report import number, say
from tests.bench.stage import Stage, stage
from tests.bench.workloads import LARGE, ONE_PROCESS, WORKLOADS, Figures, Workload

_CROWD = "64 clients, model 0 ms"
_LOOP = "loop ms"


def main(arguments: list[str]) -> int:
    parser = report.options("", __doc__)
    parser.add_argument("--times", type=int, default=3, help="how often each is played")
    parser.add_argument("--only", default="", help="workloads whose name contains this")
    parser.add_argument("--plot", type=Path, help="where to draw the CPU of a run, as SVG")
    asked = parser.parse_args(arguments)
    found: dict[str, Figures] = {}
    for one, figures in _measured(asked.only, asked.times):
        found[one.name] = figures
        shown = ", ".join(f"{name} {number(value)}" for name, value in figures.items())
        say(f"{one.name}: {shown}")
    for line in _ratios(found):
        say(line)
    if asked.json:
        about = {**report.machine(), "times": asked.times}
        asked.json.write_text(json.dumps({**about, "figures": found}, indent=1))
    if asked.plot and _CROWD in found:
        _draw(asked.plot, found)
    return 0


def _measured(only: str, times: int) -> Iterator[tuple[Workload, Figures]]:
    chosen = [one for one in WORKLOADS if only in one.name]
    if chosen:
        with stage() as there:
            for one in chosen:
                yield one, _medians(one, there, times)
    chosen = [one for one in ONE_PROCESS if only in one.name]
    if chosen:
        with stage(api_processes=1) as there:
            for one in chosen:
                yield one, _medians(one, there, times)
    if only in LARGE.name:
        with stage(concurrency=1000) as there:
            yield LARGE, _timed(LARGE, there)
    two = "two workers, 64 clients, model 0 ms"
    if only in two:
        with stage(workers=2) as there:
            crowd = next(one for one in WORKLOADS if one.name == _CROWD)
            yield Workload(two, crowd.play), _medians(crowd, there, times)


def _medians(one: Workload, there: Stage, times: int) -> Figures:
    played = [_timed(one, there) for _ in range(times)]
    return {name: median(figures[name] for figures in played) for name in played[0]}


def _timed(one: Workload, there: Stage) -> Figures:
    """Also what the machine's loop took, before and after on the mean."""
    before = cpu.loop_ms()
    figures = one.play(there)
    return {**figures, _LOOP: mean((before, cpu.loop_ms()))}


def _ratios(found: dict[str, Figures]) -> Iterator[str]:
    crowd, many = found.get(_CROWD), found.get("256 clients, model 0 ms")
    call = found.get("floor: a model call")
    if crowd and many:
        yield f"256 clients to 64: {many['runs/s'] / crowd['runs/s']:.2f} of the runs"
    loops = [figures[_LOOP] for figures in found.values()]
    if loops:
        yield (
            f"the machine's loop: {min(loops):.1f} to {max(loops):.1f} ms,"
            f" {median(loops):.1f} in the middle"
        )
    if crowd and call:
        yield f"a run to a bare model call: {crowd['CPU ms'] / call['CPU ms']:.1f} of the CPU"


def _draw(path: Path, found: dict[str, Figures]) -> None:
    crowds = [(1, "1 client"), (64, "64 clients"), (256, "256 clients")]
    lines = {
        part: [
            (float(count), figures[f"CPU ms {part}"])
            for count, name in crowds
            if (figures := found.get(f"{name}, model 0 ms"))
        ]
        for part in ("api", "worker", "postgresql", "redis")
    }
    plot.write(path, "CPU of a run by part", "clients", "ms", lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
