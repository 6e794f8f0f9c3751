"""What was begun: beside the output, so that nothing is asked twice and no answer is lost.

The first line tells the job; the next may tell the assistant that was made for it; each further one
a run that was begun for a line of the input. A question whose run is not told may have been sent
all the same: it is sent again with the same Idempotency-Key, which the job and its line make.
"""

import fcntl
import secrets
from collections.abc import Container, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from cli.ask.errors import AskError
from cli.ask.records import Records


@dataclass(frozen=True, slots=True)
class Begun:
    """`attempt` counts from 0."""

    attempt: int
    thread_id: str
    run_id: str


@dataclass(frozen=True)
class Job:
    """What makes a job this one. `options` are those that change what is asked or written."""

    id: str
    options: dict[str, Any]
    count: int
    last_line: int
    assistant: dict[str, str] | None  # the body of the one to make, if it needs one

    @classmethod
    def new(cls, **given: Any) -> Self:
        return cls(secrets.token_hex(12), **given)


class Journal:
    def __init__(self, path: Path, output: Path) -> None:
        """Raises AskError where another process has it."""
        self._is_new = not path.exists()
        self._records = Records(path)
        self.job: Job | None = None
        self.assistant_id: str | None = None
        self.begun: dict[int, Begun] = {}
        try:
            fcntl.flock(self._records.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._records.close()
            if isinstance(error, BlockingIOError):
                raise AskError(f"Another `treadle ask` is writing {output}.") from None
            raise AskError(f"{path} cannot be locked: {error.strerror}.") from None

    def close(self) -> None:
        """Leaves no trace where nothing came of it."""
        if self._is_new and self.job is None:
            self._records.path.unlink(missing_ok=True)
        self._records.close()

    def read_job(self) -> None:
        """None where its line is not whole: then nothing was asked yet."""
        told, _ = next(self._lines(), (None, 0))
        try:
            self.job = Job(**told) if told is not None else None
        except TypeError:
            raise AskError(f"{self._records.path} is no journal of `treadle ask`.") from None

    def start(self, job: Job) -> None:
        """Forgets all else."""
        self._records.cut(0)
        self._records.append(orjson.dumps(asdict(job)) + b"\n")
        self._records.sync()
        self._records.sync_name()
        self.job, self.assistant_id, self.begun = job, None, {}

    def read_begun(self, answered: Container[int]) -> None:
        """The newest run of each line that has no answer yet. Cuts off what is torn."""
        whole = 0
        for told, end in self._lines():
            if "assistant_id" in told:
                self.assistant_id = told["assistant_id"]
            elif whole and told["line"] not in answered:
                line = told.pop("line")
                self.begun[line] = Begun(**told)
            whole = end
        self._records.cut(whole)

    def tell_assistant(self, assistant_id: str) -> None:
        self.assistant_id = assistant_id
        self._records.append(orjson.dumps({"assistant_id": assistant_id}) + b"\n")
        self._records.sync()

    def tell(self, line: int, begun: Begun) -> None:
        self._records.append(orjson.dumps({"line": line, **asdict(begun)}) + b"\n")

    def sync(self) -> None:
        self._records.sync()

    def _lines(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Each with the length of the file up to its end."""
        size = 0
        with self._records.opened() as file:
            for line in file:
                size += len(line)
                try:
                    if not line.endswith(b"\n"):
                        return
                    yield orjson.loads(line), size
                except orjson.JSONDecodeError:
                    return
