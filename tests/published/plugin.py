"""What pytest does with the recording: fails the test whose answer does not fit, and tells at the
end of the whole suite what of the published interface was never answered."""

from collections.abc import Generator
from typing import Any

import pytest

from tests.published import interface
from tests.published.recording import RECORDING, Recording

# With one of these, a run of the suite is not meant to meet everything.
_CHOOSING = (
    *("keyword", "markexpr", "lf", "stepwise", "deselect", "ignore", "ignore_glob"),
    "collectonly",
)
_MOST_TOLD = 10


class Published:
    def __init__(self, config: pytest.Config, recording: Recording = RECORDING) -> None:
        self._config = config
        self._recording = recording

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        return (yield from self._judged())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        """For what was answered meanwhile, or to a test that failed by itself."""
        return (yield from self._judged())

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Where tests are distributed to processes: takes in what one of them was answered."""
        operations, events = getattr(node, "workeroutput", {}).get("published", ((), ()))
        self._recording.operations.update(operations)
        self._recording.events.update(events)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        recorded = self._recording
        if (output := getattr(self._config, "workeroutput", None)) is not None:
            output["published"] = sorted(recorded.operations), sorted(recorded.events)
        elif exitstatus == pytest.ExitCode.OK and self.unmet():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name in self.unmet():
            terminalreporter.write_line(f"published, but never answered: {name}", red=True)

    def unmet(self) -> list[str]:
        """Operations and events that nothing was answered with, though all tests have run."""
        chosen = any(self._config.getoption(name, None) for name in _CHOOSING)
        if chosen or self._config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
            return []
        expected = {
            *(*interface.OPERATIONS, *interface.OWN_STREAMS, *interface.BYTES),
            *interface.EVENTS,
        }
        return sorted(expected - self._recording.operations - self._recording.events)

    def _judged(self) -> Generator[None, object, object]:
        result = yield
        if flaws := self._recording.flaws():
            more = len(flaws) - _MOST_TOLD
            told = [*flaws[:_MOST_TOLD], *([f"and {more} more"] if more > 0 else ())]
            pytest.fail("\n".join(told), pytrace=False)
        return result
