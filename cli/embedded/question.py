"""The first question: a program that the official client runs, and which is then shown to paste."""

import json
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.embedded.processes import Child
from shared.settings import Settings

QUESTION = "What is Python? Answer in one sentence."
MODEL_LIST_SECONDS = 5
PROGRAM = """\
from openai import OpenAI
client = OpenAI()
assistant = client.beta.assistants.create({assistant})
thread = {{"messages": [{{"role": "user", "content": {question}}}]}}
run = client.beta.threads.create_and_run_poll(assistant_id=assistant.id, thread=thread)
answer = client.beta.threads.messages.list(run.thread_id).data[0]
print(run.last_error or answer.content[0].text.value)
"""
CLEANING = """\
client.beta.assistants.delete(assistant.id)
client.beta.threads.delete(run.thread_id)
raise SystemExit(0 if run.status == "completed" else 1)
"""


@dataclass(frozen=True)
class Question:
    """Asked of a model by this name; `calm` keeps a small one from inventing too much."""

    model: str
    calm: bool = False

    @property
    def program(self) -> str:
        assistant = f"model={json.dumps(self.model)}" + (", temperature=0" if self.calm else "")
        return PROGRAM.format(assistant=assistant, question=json.dumps(QUESTION))

    def ask(self, environment: dict[str, str], log: Path) -> Child:
        """Starts the program, which cleans up after itself; its output is the answer."""
        command = [sys.executable, "-W", "ignore", "-c", self.program + CLEANING]
        child = Child("The first question", command, log, environment=environment)
        child.start()
        return child


def alias_to_ask(settings: Settings) -> str | None:
    """A name that old code may use, if any is set to stand for a model."""
    return "gpt-4o" if "*" in settings.models else next(iter(settings.models), None)


def model_to_ask(settings: Settings) -> str | None:
    """A name that the given model server understands; None if it does not tell."""
    return alias_to_ask(settings) or _first_listed(settings)


def _first_listed(settings: Settings) -> str | None:
    request = urllib.request.Request(
        settings.model_base_url.rstrip("/") + "/models",
        headers={"Authorization": f"Bearer {settings.model_api_key}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=MODEL_LIST_SECONDS) as response:
            listed: Any = json.load(response)
        return str(listed["data"][0]["id"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
