// What programs do with files and vector stores by openai-node's helpers.
// `files.js PDF`; prints what it hears, one JSON value a line.
"use strict";

const fs = require("node:fs");
const { OpenAI, toFile } = require("openai");
const { VERSION } = require("openai/version");

const client = new OpenAI();
const { threads } = client.beta;
const PDF = process.argv[2];

const tell = (...facts) => console.log(JSON.stringify(facts));
const textFile = (text, name) => toFile(Buffer.from(text), name);

// Indices count characters, of which JavaScript's strings have two for some.
const cited = (text) =>
  text.annotations.map((one) => [
    one.text,
    [...text.value].slice(one.start_index, one.end_index).join(""),
    one.file_citation.file_id,
  ]);

async function tellFiles() {
  const made = await client.files.create({
    file: await textFile("The weft.", "né.txt"),
    purpose: "user_data",
  });
  const got = await client.files.retrieve(made.id);
  tell("file", got.filename, got.bytes, got.purpose, got.status);
  tell("content", await (await client.files.content(made.id)).text());
  const listed = [];
  for await (const one of client.files.list({ purpose: "user_data" })) listed.push(one.id);
  tell("listed", listed.includes(made.id));
  tell("deleted", (await client.files.delete(made.id)).deleted);
  try {
    await client.files.retrieve(made.id);
  } catch (error) {
    tell("gone", error.status, error.message.endsWith(`No such File object: ${made.id}`));
  }
}

async function tellStore() {
  const store = await client.vectorStores.create({ name: "notes" });
  const { files, fileBatches } = client.vectorStores;
  const pdf = await files.uploadAndPoll(store.id, fs.createReadStream(PDF));
  tell("pdf", pdf.status, pdf.last_error);
  const there = await client.files.create({
    file: await textFile("Tax is due within thirty days.", "tax.txt"),
    purpose: "assistants",
  });
  const batch = await fileBatches.uploadAndPoll(store.id, {
    files: [await textFile("# The sky is blue.", "sky.md"), await textFile("", "none.txt")],
    fileIds: [there.id],
  });
  tell("batch", batch.status, batch.file_counts);
  const statuses = [];
  for await (const one of fileBatches.listFiles(batch.id, { vector_store_id: store.id })) {
    statuses.push(one.status);
  }
  tell("files", statuses.sort());
  const found = [];
  for await (const one of client.vectorStores.search(store.id, { query: "Anna's treadles" })) {
    found.push([one.filename, one.content[0].text]);
  }
  tell("found", found);
  return { store, pdf };
}

async function tellAnswers({ store, pdf }) {
  const assistant = await client.beta.assistants.create({
    model: "gpt-4-turbo",
    tools: [{ type: "file_search" }],
    tool_resources: { file_search: { vector_store_ids: [store.id] } },
  });
  const asked = { messages: [{ role: "user", content: "How many treadles?" }] };
  const judge = (citations) =>
    citations.map(([text, slice, fileId]) => [text, slice === text, fileId === pdf.id]);

  let thread = await threads.create(asked);
  const run = await threads.runs.createAndPoll(thread.id, { assistant_id: assistant.id });
  const answer = (await threads.messages.list(thread.id)).data[0].content[0].text;
  tell("polled", run.status, answer.value, judge(cited(answer)));

  thread = await threads.create(asked);
  const annotated = [];
  const stream = threads.runs
    .stream(thread.id, { assistant_id: assistant.id })
    .on("textDelta", (delta, snapshot) => {
      for (const one of delta.annotations ?? []) {
        annotated.push([
          [...snapshot.value].slice(one.start_index, one.end_index).join(""),
          delta.value,
        ]);
      }
    });
  const [message] = await stream.finalMessages();
  tell("annotated", annotated);
  const text = message.content[0].text;
  tell("streamed", (await stream.finalRun()).status, text.value, judge(cited(text)));
}

async function main() {
  tell("openai", VERSION);
  await tellFiles();
  const made = await tellStore();
  await tellAnswers(made);
  tell("store deleted", (await client.vectorStores.delete(made.store.id)).deleted);
}

main();
