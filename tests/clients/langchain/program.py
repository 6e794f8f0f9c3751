"""A LangChain agent on the Assistants API, whose tools AgentExecutor runs.

`program.py talk|fail`; prints what it gets, one JSON value a line.
"""

import json
import sys
from importlib.metadata import version

from langchain_classic.agents import AgentExecutor
from langchain_classic.agents.openai_assistant import OpenAIAssistantRunnable
from langchain_core.tools import tool

WEATHER = {"Rome": "sunny", "Oslo": "snow"}


def tell(*facts):
    print(json.dumps(facts), flush=True)


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    tell("tool", city)
    return WEATHER[city]


def assistant(**options):
    return OpenAIAssistantRunnable.create_assistant(
        name="forecaster",
        instructions="Be brief.",
        tools=[weather],
        model="gpt-4-turbo",
        check_every_ms=50,
        **options,
    )


def talk():
    agent = AgentExecutor(agent=assistant(as_agent=True), tools=[weather])
    first = agent.invoke({"content": "Rome or Oslo?"})
    tell("output", first["output"])
    second = agent.invoke({"content": "Really?", "thread_id": first["thread_id"]})
    tell("output", second["output"])
    messages = assistant().invoke({"content": "Oslo?"})
    tell("messages", [message.content[0].text.value for message in messages])


def fail():
    try:
        assistant().invoke({"content": "Why?"})
    except ValueError as error:
        line, info = str(error).split("\n\n", 1)
        run = json.loads(info)
        tell("raised", line, run["status"], *run["last_error"].values())


if __name__ == "__main__":
    tell("versions", version("langchain-classic"), version("openai"))
    {"talk": talk, "fail": fail}[sys.argv[1]]()
