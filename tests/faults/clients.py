"""The workload: clients as they are, polling, streaming, calling tools, repeating, vanishing."""

import contextlib
import random
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import httpx2
import openai
from openai import OpenAI
from openai.types.beta.threads import Run

from tests.faults.ledger import ENDS, Ledger
from tests.faults.model import TOOL, expected_answer

T = TypeVar("T")

TOOLS: Any = [
    {"type": "function", "function": {"name": TOOL, "parameters": {"type": "object"}}},
]
# A client gives its step up after so long: far beyond every fault.
PATIENCE_SECONDS = 90.0
OUT_OF_SERVICE = (openai.APIConnectionError, openai.InternalServerError, httpx2.TransportError)


class GivenUpError(Exception):
    pass


class Client(threading.Thread):
    """One user with one project's key; has one conversation after another until it is stopped."""

    def __init__(
        self, name: str, base_url: str, secrets: list[str], project: int, ledger: Ledger
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.random = random.Random(name)
        self.ledger = ledger
        self.project = project
        self.stopping = threading.Event()
        self.conversation = ""  # what it does at present
        self._questions = 0
        self._http = httpx2.Client(
            event_hooks={"request": [ledger.begin_request], "response": [ledger.note_response]},
            limits=httpx2.Limits(max_keepalive_connections=20, max_connections=50),
            timeout=httpx2.Timeout(40, connect=5),
        )
        own, other = (self._client(base_url, secrets[n]) for n in (project, 1 - project))
        self.client, self.stranger = own, other
        self._assistants: dict[bool, str] = {}

    def run(self) -> None:
        kinds = [poll, poll, stream, tools, tools_streamed, repeat, vanish, cancel, delete, spy]
        while not self.stopping.is_set():
            converse = self.random.choice(kinds)
            self.conversation = converse.__name__
            try:
                converse(self)
            except GivenUpError as error:
                self.ledger.violate("client gave up", f"{self.conversation}: {error}")
            except Exception:  # noqa: BLE001 - told in the end, with all else
                self.ledger.violate(
                    "client failed", f"{self.conversation}: {traceback.format_exc()[-1500:]}"
                )
            self.stopping.wait(self.random.uniform(0.05, 0.4))
        self._http.close()

    def insist(self, step: Callable[[], T]) -> T:
        """Repeats it while the service is away; what that may cost is judged by the ledger."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            began = time.time()
            try:
                return step()
            except OUT_OF_SERVICE as error:
                if not isinstance(error, openai.InternalServerError):
                    self.ledger.note_lost_answer(began, error)
                if time.monotonic() > until:
                    raise GivenUpError(repr(error)) from error
                time.sleep(0.25)

    def question(self, about: str = "") -> str:
        self._questions += 1
        return f"What is {self.name}.{self._questions}{about}?"

    def key(self) -> dict[str, str]:
        """For one step, however often it is repeated."""
        return {"Idempotency-Key": f"{self.name}-{self.random.getrandbits(64):x}"}

    def assistant(self, *, with_tools: bool = False) -> str:
        if with_tools not in self._assistants:
            self._assistants[with_tools] = self.insist(
                lambda: self.client.beta.assistants.create(
                    model="gpt-4o", instructions="Be brief.", tools=TOOLS if with_tools else []
                )
            ).id
        return self._assistants[with_tools]

    def thread(self) -> str:
        key = self.key()
        thread = self.insist(lambda: self.client.beta.threads.create(extra_headers=key))
        self.ledger.projects[thread.id] = self.project
        return thread.id

    def say(self, thread_id: str, question: str) -> None:
        key = self.key()
        self.ledger.said[thread_id][question] = False
        self.insist(
            lambda: self.client.beta.threads.messages.create(
                thread_id, role="user", content=question, extra_headers=key
            )
        )
        self.ledger.said[thread_id][question] = True

    def ask(self, thread_id: str, question: str, *, with_tools: bool = False) -> Run:
        assistant_id = self.assistant(with_tools=with_tools)
        self.say(thread_id, question)
        key = self.key()
        run = self.insist(
            lambda: self.client.beta.threads.runs.create(
                thread_id, assistant_id=assistant_id, extra_headers=key
            )
        )
        self.accept(run, question)
        return run

    def accept(self, run: Run, question: str) -> None:
        self.ledger.accept(run.id, run.thread_id, question, self.conversation)

    def wait_for(self, run: Run) -> Run:
        """To its end, giving it what it asks for on the way."""
        runs = self.client.beta.threads.runs
        while True:
            seen = self.insist(lambda: runs.poll(run.id, thread_id=run.thread_id))
            self.ledger.saw(seen.id, seen.status)
            if seen.status in ENDS:
                return seen
            if seen.required_action is not None:
                self.submit(seen)

    def submit(self, run: Run) -> None:
        assert run.required_action is not None
        calls = run.required_action.submit_tool_outputs.tool_calls
        outputs: Any = [{"tool_call_id": call.id, "output": "a tree"} for call in calls]
        key = self.key()
        try:
            self.insist(
                lambda: self.client.beta.threads.runs.submit_tool_outputs(
                    run.id, thread_id=run.thread_id, tool_outputs=outputs, extra_headers=key
                )
            )
        except openai.BadRequestError as error:
            if "expired" not in str(error):
                raise

    def require_answer(self, run: Run, question: str) -> None:
        """What any user would notice: no answer, two, or somebody else's."""
        messages = self.client.beta.threads.messages
        listed = self.insist(lambda: messages.list(run.thread_id, run_id=run.id).data)
        texts = [message.content[0].text.value for message in listed]  # type: ignore[union-attr]
        if run.status == "completed" and texts != [expected_answer(question)]:
            self.ledger.violate("wrong answer", f"{run.id} to {question!r}: {texts}")

    def _client(self, base_url: str, secret: str) -> OpenAI:
        return OpenAI(
            base_url=base_url,
            api_key=secret,
            max_retries=0,
            http_client=self._http,
            _strict_response_validation=True,
        )


def poll(client: Client) -> None:
    """Two questions on one thread, one after the other."""
    thread_id = client.thread()
    for _ in range(2):
        question = client.question()
        run = client.wait_for(client.ask(thread_id, question))
        client.require_answer(run, question)


def tools(client: Client) -> None:
    question = client.question(" with a tool")
    run = client.wait_for(client.ask(client.thread(), question, with_tools=True))
    client.require_answer(run, question)


def stream(client: Client) -> None:
    _stream(client, client.question(), with_tools=False)


def tools_streamed(client: Client) -> None:
    _stream(client, client.question(" with a tool"), with_tools=True)


def repeat(client: Client) -> None:
    """Without a key, as the official client does it: repeats that only say that they are some."""
    thread_id, question = client.thread(), client.question()
    assistant_id = client.assistant()
    impatient = client.client.with_options(max_retries=6)
    client.ledger.said[thread_id][question] = False
    began = time.time()
    try:
        impatient.beta.threads.messages.create(thread_id, role="user", content=question)
        client.ledger.said[thread_id][question] = True
        run = impatient.beta.threads.runs.create(thread_id, assistant_id=assistant_id)
    except OUT_OF_SERVICE as error:
        client.ledger.note_lost_answer(began, error)
        return
    client.accept(run, question)
    client.require_answer(client.wait_for(run), question)


def vanish(client: Client) -> None:
    """Asks and is never seen again: before the answer, or in the middle of a stream."""
    thread_id, question = client.thread(), client.question()
    client.say(thread_id, question)
    body = {"assistant_id": client.assistant(), "stream": client.random.random() < 0.5}
    path = f"/threads/{thread_id}/runs"
    patience = client.random.choice([0.005, 0.05, 0.5])
    short = client.client.with_options(timeout=httpx2.Timeout(patience, connect=5))
    try:
        response = short.post(path, body=body, cast_to=httpx2.Response)
        response.close()
    except (*OUT_OF_SERVICE, openai.APIStatusError):
        return


def cancel(client: Client) -> None:
    question = client.question(client.random.choice(["", " with a tool"]))
    run = client.ask(client.thread(), question, with_tools="tool" in question)
    client.stopping.wait(client.random.choice([0, 0.05, 0.4, 1]))
    cancel_run = client.client.beta.threads.runs.cancel
    try:
        client.insist(lambda: cancel_run(run.id, thread_id=run.thread_id))
    except openai.BadRequestError as error:
        if "Cannot cancel run with status" not in str(error):
            raise
    client.require_answer(client.wait_for(run), question)


def delete(client: Client) -> None:
    """The thread goes while its run goes on."""
    question = client.question()
    run = client.ask(client.thread(), question)
    client.stopping.wait(client.random.choice([0, 0.3]))
    client.ledger.gone.add(run.thread_id)
    delete_thread = client.client.beta.threads.delete
    # A repeat of a deletion whose answer was lost finds nothing.
    with contextlib.suppress(openai.NotFoundError):
        client.insist(lambda: delete_thread(run.thread_id))
    try:
        retrieve = client.client.beta.threads.runs.retrieve
        client.insist(lambda: retrieve(run.id, thread_id=run.thread_id))
        client.ledger.violate("deleted, yet there", run.id)
    except openai.NotFoundError:
        return


def spy(client: Client) -> None:
    """Another project's key, on objects that exist."""
    question = client.question()
    run = client.ask(client.thread(), question)
    theirs = client.stranger.beta.threads
    for look in (
        lambda: theirs.retrieve(run.thread_id),
        lambda: theirs.runs.retrieve(run.id, thread_id=run.thread_id),
        lambda: theirs.messages.list(run.thread_id),
        lambda: theirs.runs.cancel(run.id, thread_id=run.thread_id),
    ):
        try:
            client.insist(look)
            client.ledger.violate("wrong owner", f"{run.id} was shown to another project")
        except openai.NotFoundError:
            continue
    client.require_answer(client.wait_for(run), question)


def _stream(client: Client, question: str, *, with_tools: bool) -> None:
    """To its end; where the stream breaks off, by polling."""
    thread_id = client.thread()
    assistant_id = client.assistant(with_tools=with_tools)
    client.say(thread_id, question)
    key = client.key()

    def read() -> Run:
        runs = client.client.beta.threads.runs
        events = runs.create(thread_id, assistant_id=assistant_id, stream=True, extra_headers=key)
        run: Run | None = None
        try:
            for event in events:
                if event.event.startswith("thread.run.") and isinstance(event.data, Run):
                    run = event.data
                    client.accept(run, question)
                    client.ledger.saw(run.id, run.status)
        except (*OUT_OF_SERVICE, openai.APIError):
            if run is None:
                raise
        finally:
            events.close()
        assert run is not None, "a stream without a run"
        return run

    client.require_answer(client.wait_for(client.insist(read)), question)
