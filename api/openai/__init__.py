"""The Assistants dialect: the wire of OpenAI's Assistants API, version 2."""
