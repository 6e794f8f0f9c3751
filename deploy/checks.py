"""`make check`: every check, whatever the others say. Run by the Python of .venv."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MIGRATIONS = sorted(str(path) for path in (ROOT / "shared" / "migrations").glob("*.sql"))
NOT_DONE = 75  # the status by which a check says that it cannot be made here
CHECKS = {
    "format": ["ruff", "format", "--check", "."],
    "lint": ["ruff", "check", "."],
    "types": ["basedpyright"],
    "imports": ["lint-imports"],
    "dependencies": ["deptry", "."],
    "migrations": ["squawk", *MIGRATIONS],
    "licences": ["python", "deploy/licences.py", "--check"],
    "known vulnerabilities": ["python", "deploy/audit.py"],
}


def main() -> int:
    ends = {name: status_of(words) for name, words in CHECKS.items()}
    failed = [name for name, status in ends.items() if status not in (0, NOT_DONE)]
    undone = [name for name, status in ends.items() if status == NOT_DONE]
    print(f"\nfailed: {', '.join(failed)}" if failed else "\nall that was checked passes")
    if undone:
        print(f"NOT CHECKED, for it cannot be here: {', '.join(undone)}")
    return 1 if failed else 0


def status_of(words: list[str]) -> int:
    print(f"\n$ {' '.join(words)}", flush=True)
    program = Path(sys.executable).with_name(words[0])
    return subprocess.call([str(program), *words[1:]], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
