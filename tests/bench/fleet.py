"""`python -m tests.bench.fleet`: from what one run costs to how many processes so many runs a second need.

What a run costs is measured, and stands in docs/scale.md in a table; the rest of that page's tables
is computed here, and written there by `--write`. With `--rate` and `--workers` it simulates one
fleet: how long runs wait for a place in a worker.

Assumed:
- Runs come at random, independent moments. Where they come in a burst, the burst is the rate.
- Answers take `--model-seconds` on average, and vary as an exponential distribution does.
- Cost does not change with the rate. What others wait for in PostgreSQL is not in it.
- A core is used to 60 %, the places in workers are held to 80 %: the simulation shows why.
- One PostgreSQL has 32 cores, writes 200 MB of WAL and 20,000 commits a second. The last is 1,000
  syncs a second, each for 20 commits that wait together: `pg_test_fsync` and `pgbench -N` tell yours.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from shared.settings import Settings
from tests.acceptance.conftest import ROOT
from tests.bench import report
from tests.bench.queueing import constant, exponential, percentile, waits

PAGE = ROOT / "docs" / "scale.md"
_RATES = (1, 100, 10_000)
_CONCURRENCIES = (Settings().concurrency, 1000)
_USED_CORE = 0.6
_HELD_PLACES = 0.8
_POSTGRESQL_CORES = 32
_WAL_BYTES = 200e6
_COMMITS = 20_000
# Beside its pool a worker has four connections.
_POOL = Settings().database_pool
_WORKERS_OWN = 4
_DAY_SECONDS = 86_400
_BLOCK = "<!-- computed: {} -->\n{}<!-- end -->"


@dataclass(frozen=True)
class Costs:
    """Of one run; CPU in milliseconds."""

    api: float
    worker: float
    postgresql: float
    redis: float
    wal_bytes: float
    commits: float
    disk_bytes: float

    def most_of_one_postgresql(self) -> dict[str, float]:
        """Runs a second, by what ends first."""
        return {
            "CPU": _POSTGRESQL_CORES * _USED_CORE * 1000 / self.postgresql,
            "WAL": _WAL_BYTES / self.wal_bytes,
            "commits": _COMMITS / self.commits,
        }


def measured(page: str) -> Costs:
    """From the table whose rows begin with these words."""

    def row(words: str) -> float:
        found = re.search(rf"^\| {re.escape(words)} \| ([\d.,]+) \|", page, re.MULTILINE)
        assert found, f"docs/scale.md has no row '{words}'"
        return float(found[1].replace(",", ""))

    return Costs(
        api=row("API, ms of CPU"),
        worker=row("worker, ms of CPU"),
        postgresql=row("PostgreSQL, ms of CPU"),
        redis=row("Redis, ms of CPU"),
        wal_bytes=row("WAL, bytes"),
        commits=row("commits that write"),
        disk_bytes=row("disk, bytes"),
    )


def _processes(rate: float, cpu_ms: float) -> int:
    return max(2, ceil(rate * cpu_ms / 1000 / _USED_CORE))


def _workers(costs: Costs, rate: float, model_seconds: float, concurrency: int) -> int:
    """Enough CPU, and enough places for all runs whose answers are waited for."""
    places = ceil(rate * model_seconds / _HELD_PLACES / concurrency)
    return max(_processes(rate, costs.worker), places)


def fleets(costs: Costs, model_seconds: float) -> Iterable[Sequence[str]]:
    """A column for each rate."""
    yield ("runs a second", *(f"{rate:,}" for rate in _RATES))
    yield ("API processes", *(f"{_processes(rate, costs.api):,}" for rate in _RATES))
    for concurrency in _CONCURRENCIES:
        counts = [_workers(costs, rate, model_seconds, concurrency) for rate in _RATES]
        yield (f"workers, `TREADLE_CONCURRENCY={concurrency}`", *(f"{one:,}" for one in counts))
        connections = [
            _processes(rate, costs.api) * _POOL + workers * (_POOL + _WORKERS_OWN)
            for rate, workers in zip(_RATES, counts, strict=True)
        ]
        yield ("… and connections to PostgreSQL, at most", *(f"{one:,}" for one in connections))
    for name, cpu_ms in (("PostgreSQL", costs.postgresql), ("Redis", costs.redis)):
        yield (f"{name}, cores", *(_tenths(rate * cpu_ms / 1000 / _USED_CORE) for rate in _RATES))
    yield ("WAL, MB a second", *(_tenths(rate * costs.wal_bytes / 1e6) for rate in _RATES))
    yield ("commits a second", *(f"{ceil(rate * costs.commits):,}" for rate in _RATES))
    a_day = costs.disk_bytes * _DAY_SECONDS / 1e9
    yield ("disk, GB a day", *(_tenths(rate * a_day) for rate in _RATES))
    one = min(costs.most_of_one_postgresql().values())
    yield ("PostgreSQLs, and so Treadles", *(f"{ceil(rate / one):,}" for rate in _RATES))


def ends(costs: Costs) -> Iterable[Sequence[str]]:
    """Where one PostgreSQL ends."""
    yield ("what ends", "is assumed to be", "at runs a second")
    most = costs.most_of_one_postgresql()
    yield ("commits", f"{_COMMITS:,} a second", f"{most['commits']:,.0f}")
    used = f"{_POSTGRESQL_CORES} cores, used to {_USED_CORE:.0%}"
    yield ("CPU", used, f"{most['CPU']:,.0f}")
    yield ("WAL", f"{_WAL_BYTES / 1e6:,.0f} MB a second", f"{most['WAL']:,.0f}")


def places(model_seconds: float) -> Iterable[Sequence[str]]:
    """How long runs wait for a place, by how many there are and how many of them are held."""
    shares = (0.6, 0.8, 0.9, 0.95)
    yield ("places", *(f"{share:.0%} held" for share in shares))
    for count in (8, 32, 128, 1000):
        found = (
            waits(share * count / model_seconds, count, exponential(model_seconds))
            for share in shares
        )
        yield (f"{count:,}", *(_told(one) for one in found))


def cores(costs: Costs) -> Iterable[Sequence[str]]:
    """How long the work of a run waits for the one core that a process can use."""
    shares = (0.4, 0.6, 0.8, 0.9)
    yield ("process", *(f"core used to {share:.0%}" for share in shares))
    for name, cpu_ms in (("API", costs.api), ("worker", costs.worker)):
        seconds = cpu_ms / 1000
        found = (waits(share / seconds, 1, constant(seconds)) for share in shares)
        yield (name, *(_told(one) for one in found))


def _tenths(value: float) -> str:
    return f"{value:,.1f}" if value >= 0.05 else "< 0.1"


def _told(found: list[float]) -> str:
    return " / ".join(_seconds(percentile(found, percent)) for percent in (50, 95))


def _seconds(value: float) -> str:
    if value < 0.0005:
        return "0"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def tables(costs: Costs, model_seconds: float) -> dict[str, str]:
    """By name, as Markdown."""
    made = {
        "fleets": fleets(costs, model_seconds),
        "ends": ends(costs),
        "places": places(model_seconds),
        "cores": cores(costs),
    }
    return {name: _table(list(rows)) for name, rows in made.items()}


def _table(rows: list[Sequence[str]]) -> str:
    lines = [rows[0], ["---", *(["---:"] * (len(rows[0]) - 1))], *rows[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def written(page: str, model_seconds: float) -> str:
    """The page with its tables computed anew."""
    for name, table in tables(measured(page), model_seconds).items():
        begin, _, end = (re.escape(part) for part in _BLOCK.format(name, "\0").partition("\0"))
        page, count = re.subn(f"{begin}.*?{end}", _BLOCK.format(name, table), page, flags=re.DOTALL)
        assert count == 1, f"docs/scale.md has {count} places for '{name}'"
    return page


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.fleet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model-seconds", type=float, default=5.0)
    parser.add_argument("--write", type=Path, nargs="?", const=PAGE, help="that page, or a copy")
    parser.add_argument("--rate", type=float, help="of one fleet: runs a second")
    parser.add_argument("--workers", type=int, default=2, help="of that fleet")
    parser.add_argument("--concurrency", type=int, default=_CONCURRENCIES[0], help="of each worker")
    asked = parser.parse_args(arguments)
    if asked.rate:
        _simulate(asked.rate, asked.workers * asked.concurrency, asked.model_seconds)
    elif asked.write:
        asked.write.write_text(written(PAGE.read_text(), asked.model_seconds))
    else:
        for table in tables(measured(PAGE.read_text()), asked.model_seconds).values():
            report.say(table)
    return 0


def _simulate(rate: float, count: int, model_seconds: float) -> None:
    held = rate * model_seconds / count
    if held >= 1:
        report.say(f"{held:.0%} of {count:,} places: the queue grows without end")
        return
    found = waits(rate, count, exponential(model_seconds))
    told = ", ".join(
        f"p{percent} {_seconds(percentile(found, percent))}" for percent in (50, 95, 99)
    )
    report.say(f"{held:.0%} of {count:,} places held; until a worker takes a run: {told}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
