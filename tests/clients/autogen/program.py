"""An AutoGen agent on the Assistants API, which runs its tools by itself.

`program.py talk|fail`; prints what it gets, one JSON value a line.
"""

import asyncio
import json
import sys
from importlib.metadata import version

from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_ext.agents.openai import OpenAIAssistantAgent
from openai import AsyncOpenAI, NotFoundError

WEATHER = {"Rome": "sunny", "Oslo": "snow"}


def tell(*facts):
    print(json.dumps(facts), flush=True)


async def weather(city: str) -> str:
    """The weather in a city."""
    tell("tool", city)
    return WEATHER[city]


def assistant(client):
    return OpenAIAssistantAgent(
        name="forecaster",
        description="Knows the weather.",
        client=client,
        model="gpt-4-turbo",
        instructions="Be brief.",
        tools=[weather],
    )


async def ask(agent, question):
    messages = [TextMessage(source="user", content=question)]
    return await agent.on_messages(messages, CancellationToken())


async def talk():
    async with AsyncOpenAI() as client:
        agent = assistant(client)
        first = await ask(agent, "Rome or Oslo?")
        tell("events", [one.type for one in first.inner_messages])
        tell("output", first.chat_message.content)
        tell("output", (await ask(agent, "Really?")).chat_message.content)
        await agent.on_reset(CancellationToken())
        tell("output", (await ask(agent, "Who is there?")).chat_message.content)
        assistant_id = agent._get_assistant_id
        await agent.delete_assistant(CancellationToken())
        try:
            await client.beta.assistants.retrieve(assistant_id)
        except NotFoundError as error:
            tell("assistant", error.body["message"].replace(assistant_id, "asst_…"))


async def fail():
    async with AsyncOpenAI() as client:
        try:
            await ask(assistant(client), "Why?")
        except ValueError as error:
            tell("raised", str(error))


if __name__ == "__main__":
    tell("versions", version("autogen-ext"), version("openai"))
    asyncio.run({"talk": talk, "fail": fail}[sys.argv[1]]())
