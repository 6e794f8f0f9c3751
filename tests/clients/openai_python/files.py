"""What programs do with files and vector stores by openai-python's helpers: runs with any release
that has them, in `client.beta` or since in `client` itself.

`files.py PDF`; prints what it hears, one JSON value a line.
"""

import io
import json
import sys
from pathlib import Path

import openai
from openai import AssistantEventHandler, NotFoundError, OpenAI

PDF = Path(sys.argv[1])


def tell(*facts):
    print(json.dumps(facts), flush=True)


def a_text(text, name):
    return name, io.BytesIO(text.encode())


def cited(text):
    return [
        [one.text, text.value[one.start_index : one.end_index], one.file_citation.file_id]
        for one in text.annotations
    ]


def tell_files(client):
    made = client.files.create(file=a_text("The weft.", "né.txt"), purpose="user_data")
    got = client.files.retrieve(made.id)
    tell("file", got.filename, got.bytes, got.purpose, got.status)
    tell("content", client.files.content(made.id).text)
    tell("listed", made.id in [one.id for one in client.files.list(purpose="user_data")])
    tell("deleted", client.files.delete(made.id).deleted)
    try:
        client.files.retrieve(made.id)
    except NotFoundError as error:
        tell("gone", error.status_code, error.message.count(f"No such File object: {made.id}") == 1)


def tell_store(stores, client):
    store = stores.create(name="notes")
    with PDF.open("rb") as file:
        pdf = stores.files.upload_and_poll(vector_store_id=store.id, file=file)
    tell("pdf", pdf.status, pdf.last_error)
    there = client.files.create(
        file=a_text("Tax is due within thirty days.", "tax.txt"), purpose="assistants"
    )
    batch = stores.file_batches.upload_and_poll(
        vector_store_id=store.id,
        files=[a_text("# The sky is blue.", "sky.md"), a_text("", "none.txt")],
        file_ids=[there.id],
    )
    tell("batch", batch.status, batch.file_counts.model_dump())
    listed = stores.file_batches.list_files(batch.id, vector_store_id=store.id)
    tell("files", sorted(one.status for one in listed))
    if hasattr(stores, "search"):
        found = stores.search(store.id, query="Anna's treadles")
        tell("found", [[one.filename, one.content[0].text] for one in found])
    return store, pdf


class Listener(AssistantEventHandler):
    def __init__(self):
        super().__init__()
        self.annotated = []

    def on_text_delta(self, delta, snapshot):
        for one in delta.annotations or ():
            slice_ = snapshot.value[one.start_index : one.end_index]
            self.annotated.append([slice_, delta.value])


def tell_answers(client, store, pdf):
    threads = client.beta.threads
    assistant = client.beta.assistants.create(
        model="gpt-4-turbo",
        tools=[{"type": "file_search"}],
        tool_resources={"file_search": {"vector_store_ids": [store.id]}},
    )
    asked = [{"role": "user", "content": "How many treadles?"}]

    def judge(citations):
        return [[text, slice_ == text, file_id == pdf.id] for text, slice_, file_id in citations]

    thread = threads.create(messages=asked)
    run = threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    answer = threads.messages.list(thread.id).data[0].content[0].text
    tell("polled", run.status, answer.value, judge(cited(answer)))

    thread = threads.create(messages=asked)
    listener = Listener()
    with threads.runs.stream(
        thread_id=thread.id, assistant_id=assistant.id, event_handler=listener
    ) as stream:
        (message,) = stream.get_final_messages()
    tell("annotated", listener.annotated)
    text = message.content[0].text
    tell("streamed", stream.get_final_run().status, text.value, judge(cited(text)))


def main():
    tell("openai", openai.__version__)
    with OpenAI() as client:
        stores = getattr(client, "vector_stores", None) or client.beta.vector_stores
        tell_files(client)
        store, pdf = tell_store(stores, client)
        tell_answers(client, store, pdf)
        tell("store deleted", stores.delete(store.id).deleted)


if __name__ == "__main__":
    main()
