"""What pytest does with the recording: fails the test whose answer does not fit, and tells at the
end whether the whole published interface was met."""

from collections.abc import Generator
from typing import Any

import pytest

from tests.published import interface
from tests.published.recording import RECORDING

# A run of the suite with one of these is not meant to meet everything.
_CHOOSING = (
    *("keyword", "markexpr", "lf", "stepwise", "deselect", "ignore", "ignore_glob"),
    "collectonly",
)


class Published:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        return (yield from _judged())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        return (yield from _judged())

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """In the process that distributes the tests: takes in what one of the others met."""
        operations, events = getattr(node, "workeroutput", {}).get("published", ((), ()))
        RECORDING.operations.update(operations)
        RECORDING.events.update(events)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if (output := getattr(self._config, "workeroutput", None)) is not None:
            output["published"] = sorted(RECORDING.operations), sorted(RECORDING.events)
        elif exitstatus == pytest.ExitCode.OK and self._is_whole() and _unmet():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._is_whole():
            for name in _unmet():
                terminalreporter.write_line(f"published, but never recorded: {name}", red=True)
        terminalreporter.write_line(
            f"recorded {len(RECORDING.operations)} operations and {len(RECORDING.events)} events"
        )

    def _is_whole(self) -> bool:
        named = self._config.args_source is not pytest.Config.ArgsSource.TESTPATHS
        return not named and not any(self._config.getoption(one, None) for one in _CHOOSING)


def _judged() -> Generator[None, object, object]:
    result = yield
    if flaws := RECORDING.flaws():
        pytest.fail("\n".join(flaws), pytrace=False)
    return result


def _unmet() -> list[str]:
    """Operations and events that nothing in this run of the suite was answered with."""
    expected = {*interface.OPERATIONS, *interface.OWN_STREAMS, *interface.EVENTS}
    return sorted(expected - RECORDING.operations - RECORDING.events)
