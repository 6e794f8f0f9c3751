"""The scripted model server, with moods, and a memory of who was asked when."""

import hashlib
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from tests.model_server import ModelServer, Reply, after, echo, question_of, say

TOOL = "look"


@dataclass(frozen=True)
class Ask:
    at: float  # Unix seconds
    question: str
    turn: int  # how often functions had been called before
    moody: bool


class MoodyModel(ModelServer):
    """Repeats the question it is asked, after a while that depends on the question; one that
    speaks of a tool has the tool called first. In a mood it answers everybody as the mood says."""

    def __init__(self) -> None:
        super().__init__()
        self._http.handle_error = _tell_unless_hung_up  # type: ignore[method-assign]
        self.asks: list[Ask] = []
        self.mood: Reply | None = None
        self.calm = threading.Event()  # set when a mood is over: what it held back may go on

    def enter(self, mood: Reply) -> None:
        self.calm.clear()
        self.mood = mood

    def calm_down(self) -> None:
        self.mood = None
        self.calm.set()

    def reply_to(self, body: dict[str, Any]) -> Reply:
        question, scripted = question_of(body), super().reply_to(body)
        turn = sum(1 for message in body["messages"] if message["role"] == "tool")
        mood = self.mood
        self.asks.append(Ask(time.time(), question, turn, mood is not None))
        if mood or scripted is not echo:
            return mood or scripted
        return after(self._pause(question), _answer(question, turn))

    def _pause(self, question: str) -> float:
        """From 0.05 to 1.25 s, always the same for the same question."""
        return 0.05 + hashlib.sha256(question.encode()).digest()[0] / 256 * 1.2


def expected_answer(question: str) -> str:
    return f"You said: {question}"


def _answer(question: str, turn: int) -> Reply:
    if "with a tool" in question and turn == 0:
        function = {"name": TOOL, "arguments": '{"at": "it"}'}
        called = {"id": "call_1", "type": "function", "function": function}
        return say(None, finish="tool_calls", tool_calls=[called])
    return say(expected_answer(question))


def _tell_unless_hung_up(*_: object) -> None:
    """Whoever asked is often dead by the time of the answer."""
    error = sys.exc_info()[1]
    if not isinstance(error, ConnectionError):
        sys.stderr.write(f"model server: {error!r}\n")
