// What programs do with openai-node's stream and poll helpers.
// `program.js stream|poll|fail|page|batch`; prints what it hears, one JSON value a line.
"use strict";

const { OpenAI, toFile } = require("openai");
const { VERSION } = require("openai/version");

const WEATHER = { Rome: "sunny", Oslo: "snow" };
const TOOL = {
  type: "function",
  function: {
    name: "weather",
    description: "The weather in a city.",
    parameters: { type: "object", properties: { city: { type: "string" } } },
  },
};
const ASSISTANT = { model: "gpt-4-turbo", instructions: "Be brief.", tools: [TOOL] };

const client = new OpenAI();
const { threads } = client.beta;

const tell = (...facts) => console.log(JSON.stringify(facts));
const textOf = (message) => message.content[0].text.value;
const outputs = (run) =>
  run.required_action.submit_tool_outputs.tool_calls.map((call) => ({
    tool_call_id: call.id,
    output: WEATHER[JSON.parse(call.function.arguments).city],
  }));

async function asked(question) {
  const assistant = await client.beta.assistants.create(ASSISTANT);
  const thread = await threads.create({ messages: [{ role: "user", content: question }] });
  return { thread, assistant_id: assistant.id };
}

async function tellThread(thread) {
  const said = [];
  for await (const message of threads.messages.list(thread.id)) {
    said.push([message.role, textOf(message)]);
  }
  tell("thread", said);
}

const heard = (stream) =>
  stream
    .on("toolCallCreated", (call) => {
      tell("call", call.function.name);
      tell("call delta", call.function.arguments);
    })
    .on("toolCallDelta", (delta) => tell("call delta", delta.function.arguments))
    .on("toolCallDone", (call) => tell("call done", call.function.arguments))
    .on("textCreated", () => tell("text"))
    .on("textDelta", (delta, snapshot) => tell("text delta", delta.value, snapshot.value))
    .on("textDone", (text) => tell("text done", text.value))
    .on("messageDone", (message) => tell("message done", message.status, textOf(message)))
    .on("runStepDone", (step) => tell("step done", step.type, step.status))
    .on("error", (error) => tell("error", error.message))
    .on("end", () => tell("end"));

async function stream() {
  const { thread, assistant_id } = await asked("Rome or Oslo?");
  const run = await heard(threads.runs.stream(thread.id, { assistant_id })).finalRun();
  tell("run", run.status);
  const answer = threads.runs.submitToolOutputsStream(run.id, {
    thread_id: thread.id,
    tool_outputs: outputs(run),
  });
  tell("run", (await heard(answer).finalRun()).status);
  await threads.messages.create(thread.id, { role: "user", content: "Really?" });
  const again = threads.runs.stream(thread.id, { assistant_id });
  const names = new Set();
  for await (const event of again) names.add(event.event);
  tell("events", [...names]);
  tell("final run", (await again.finalRun()).usage.total_tokens);
  tell("final messages", (await again.finalMessages()).map(textOf));
  tell("final steps", (await again.finalRunSteps()).map((step) => step.status));
  await tellThread(thread);
}

async function poll() {
  const { thread, assistant_id } = await asked("Rome or Oslo?");
  let run = await threads.runs.createAndPoll(thread.id, { assistant_id });
  tell("run", run.status);
  const answers = { thread_id: thread.id, tool_outputs: outputs(run) };
  run = await threads.runs.submitToolOutputsAndPoll(run.id, answers);
  tell("run", run.status);
  await threads.messages.create(thread.id, { role: "user", content: "Really?" });
  run = await threads.runs.createAndPoll(thread.id, { assistant_id });
  tell("run", run.status);
  await tellThread(thread);
}

async function fail() {
  const { thread, assistant_id } = await asked("Why?");
  const polled = await threads.runs.createAndPoll(thread.id, { assistant_id });
  tell("polled", polled.status, polled.last_error.code, polled.last_error.message);
  const streamed = heard(threads.runs.stream(thread.id, { assistant_id }));
  const run = await streamed.finalRun();
  tell("streamed", run.status, run.last_error.code, run.last_error.message);
  tell("final messages", await streamed.finalMessages());
  try {
    await threads.runs.submitToolOutputs(run.id, { thread_id: thread.id, tool_outputs: [] });
  } catch (error) {
    tell("refused", error.constructor.name, error.message);
  }
}

async function batch() {
  const lines = ["One?", "Two?"].map((content) => ({
    custom_id: content,
    method: "POST",
    url: "/v1/chat/completions",
    body: { model: "gpt-4-turbo", messages: [{ role: "user", content }] },
  }));
  const text = lines.map((line) => JSON.stringify(line)).join("\n");
  const file = await client.files.create({
    file: await toFile(Buffer.from(text), "né.jsonl"),
    purpose: "batch",
    expires_after: { anchor: "created_at", seconds: 3600 },
  });
  tell("file", file.filename, file.bytes, file.expires_at - file.created_at);
  let made = await client.batches.create({
    input_file_id: file.id,
    endpoint: "/v1/chat/completions",
    completion_window: "24h",
  });
  while (["validating", "in_progress", "finalizing"].includes(made.status)) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    made = await client.batches.retrieve(made.id);
  }
  tell("batch", made.status, made.request_counts);
  const answers = await (await client.files.content(made.output_file_id)).text();
  for (const line of answers.trim().split("\n").map((one) => JSON.parse(one))) {
    tell(line.custom_id, line.response.body.choices[0].message.content);
  }
}

async function page() {
  const messages = Array.from({ length: 45 }, (_, n) => ({ role: "user", content: String(n) }));
  const thread = await threads.create({ messages });
  const newest = [];
  for await (const message of threads.messages.list(thread.id)) newest.push(+textOf(message));
  tell("newest first", newest);
  const pages = [];
  const listed = await threads.messages.list(thread.id, { order: "asc", limit: 7 });
  for await (const one of listed.iterPages()) pages.push(one.data.map((each) => +textOf(each)));
  tell("oldest first", pages.flat());
  tell("pages", pages.map((one) => one.length));
}

tell("openai", VERSION);
({ stream, poll, fail, page, batch })[process.argv[2]]();
