"""Clients that race each other and themselves. Each race is judged at once."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import openai
from openai.types.beta.threads import Run

from shared.ids import random_text
from tests.acceptance.conftest import wait_until
from tests.faults.clients import Client
from tests.faults.fault import Fault
from tests.faults.ledger import Ledger
from tests.faults.stage import Stage
from tests.model_server import stall


class Race(Fault):
    """A client of its own does what no single program would."""

    seconds = 0.5

    def inject(self, stage: Stage) -> None:
        # What comes of it is said by assertions; what it was told goes into a book of its own.
        self.stage, self.ledger = stage, Ledger()
        client = Client(f"racer-{random_text(8)}", stage.base_url, stage.secrets, 0, self.ledger)
        self.run(client)
        assert not self.ledger.violations, self.ledger.violations

    def heal(self, stage: Stage) -> None:
        return

    def run(self, client: Client) -> None:
        raise NotImplementedError


class CrowdOnOneThread(Race):
    name = "clients: thirty start a run on one thread"
    rows = (39, 23)

    def run(self, client: Client) -> None:
        thread_id, assistant_id = client.thread(), client.assistant()
        question, all_answered = client.question(), threading.Event()
        self.stage.model.when(question, stall(all_answered))
        client.say(thread_id, question)
        create = client.client.beta.threads.runs.create
        answers = at_once(30, lambda _: create(thread_id, assistant_id=assistant_id))
        all_answered.set()
        runs = [answer for answer in answers if isinstance(answer, Run)]
        assert len(runs) == 1, answers
        assert all("already has an active run" in str(a) for a in answers if a is not runs[0])
        assert client.wait_for(runs[0]).status == "completed"


class MessagesWhileItRuns(Race):
    name = "clients: messages, runs and cancels on one thread at once"
    rows = (23, 40, 43)

    def run(self, client: Client) -> None:
        thread_id, assistant_id = client.thread(), client.assistant()
        client.say(thread_id, client.question())
        threads = client.client.beta.threads

        def act(number: int) -> Any:
            if number % 3 == 0:
                return threads.runs.create(thread_id, assistant_id=assistant_id)
            if number % 3 == 1:
                return threads.messages.create(thread_id, role="user", content=f"And {number}?")
            newest = threads.runs.list(thread_id, limit=1).data
            return threads.runs.cancel(newest[0].id, thread_id=thread_id) if newest else None

        answers = at_once(30, act)
        refused = Counter(type(a).__name__ for a in answers if isinstance(a, Exception))
        assert set(refused) <= {"BadRequestError"}, answers
        for run in threads.runs.list(thread_id, limit=100):
            assert client.wait_for(run).status in ("completed", "cancelled")
        order = [m.created_at for m in threads.messages.list(thread_id, order="asc", limit=7)]
        assert order == sorted(order)


class OutputsTwice(Race):
    name = "clients: tool outputs come twice at once, in part, and wrong"
    rows = (41,)

    def run(self, client: Client) -> None:
        question = client.question(" with a tool")
        run = client.ask(client.thread(), question, with_tools=True)
        runs = client.client.beta.threads.runs
        run = runs.poll(run.id, thread_id=run.thread_id)
        assert run.required_action is not None
        (call,) = run.required_action.submit_tool_outputs.tool_calls

        def submit(*ids: str) -> Run:
            outputs: Any = [{"tool_call_id": id_, "output": "a tree"} for id_ in ids]
            return runs.submit_tool_outputs(run.id, thread_id=run.thread_id, tool_outputs=outputs)

        wrong = at_once(3, lambda n: submit(*[[], ["call_none"], [call.id, "call_more"]][n]))
        assert all(isinstance(answer, openai.BadRequestError) for answer in wrong), wrong
        taken = at_once(10, lambda _: submit(call.id))
        assert sum(isinstance(answer, Run) for answer in taken) == 1, taken
        client.require_answer(client.wait_for(run), question)


class OneKeyAtOnce(Race):
    name = "clients: one Idempotency-Key, many requests at once"
    rows = (38, 61)

    def run(self, client: Client) -> None:
        thread_id, assistant_id, key = client.thread(), client.assistant(), client.key()
        client.say(thread_id, client.question())
        threads = client.client.beta.threads
        answers = at_once(
            10,
            lambda _: threads.runs.create(thread_id, assistant_id=assistant_id, extra_headers=key),
        )
        made = {run.id for run in threads.runs.list(thread_id)}
        got = {answer.id if isinstance(answer, Run) else repr(answer) for answer in answers}
        assert got == made, got
        other = at_once(
            1,
            lambda _: threads.messages.create(
                thread_id, role="user", content="another", extra_headers=key
            ),
        )
        assert isinstance(other[0], openai.BadRequestError), other


class StreamsLeft(Race):
    name = "clients: fifty streams are left after their first events"
    rows = (44,)

    def run(self, client: Client) -> None:
        assistant_id = client.assistant()
        threads = client.client.beta.threads

        def leave(number: int) -> Run:
            messages: Any = [{"role": "user", "content": client.question()}]
            thread = threads.create(messages=messages)
            with threads.runs.create(thread.id, assistant_id=assistant_id, stream=True) as events:
                first = next(iter(events)).data
            assert isinstance(first, Run)
            return first

        for run in at_once(50, leave):
            assert isinstance(run, Run), run
            assert client.wait_for(run).status == "completed"


class ToolCallsAbandoned(Fault):
    name = "clients: tool outputs that never come"
    rows = (41,)
    seconds = 0.5

    def inject(self, stage: Stage) -> None:
        client = Client(f"abandons-{random_text(8)}", stage.base_url, stage.secrets, 0, Ledger())
        run = client.ask(client.thread(), client.question(" with a tool"), with_tools=True)
        runs = client.client.beta.threads.runs
        wait_until(
            lambda: runs.retrieve(run.id, thread_id=run.thread_id).status == "requires_action",
            20,
            "the run to ask for outputs",
        )

    def heal(self, stage: Stage) -> None:
        return


def at_once(count: int, act: Callable[[int], Any]) -> Sequence[Any]:
    """What each of `count` threads got that began together: its answer, or its error."""
    answers: list[Any] = [None] * count
    barrier = threading.Barrier(count)

    def one(number: int) -> None:
        barrier.wait(30)
        try:
            answers[number] = act(number)
        except openai.APIError as error:
            answers[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers
