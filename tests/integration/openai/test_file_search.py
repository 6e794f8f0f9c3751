"""file_search in a run: the model asks, its stores are searched, and the answer cites."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from openai import OpenAI

from shared.db import Database, Transaction
from shared.errors import Unavailable
from shared.settings import Settings
from tests.conftest import Caller, a_worker, an_app, http_as
from tests.integration.openai.test_function_tools import WEATHER
from tests.integration.openai.test_function_tools import call as weather
from tests.integration.openai.test_streams import names, parsed, text_of, working
from tests.integration.wire import error_of
from tests.model_server import ModelServer, fail, say
from worker.bell import Bell
from worker.ingestion import Ingestions
from worker.lease import Lease

MODEL = "minilm"
LOOM = "The loom has two treadles."
SKY = "The sky is blue because air scatters short waves."
CONTENT: Any = "step_details.tool_calls[*].file_search.results[*].content"
TOOL: Any = {"type": "file_search"}
RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0}
ANSWER = "It has two【1:0†loom.txt】. 🧵"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, embedding_model=MODEL)


def search(query: str, id_: str = "call_s", name: str = "file_search") -> dict[str, Any]:
    function = {"name": name, "arguments": f'{{"query": "{query}"}}'}
    return {"id": id_, "type": "function", "function": function}


def a_store(client: OpenAI, ingestions: Ingestions | None, **texts: str) -> str:
    store = client.vector_stores.create(name="n")
    for name, text in texts.items():
        file = client.files.create(file=(f"{name}.txt", text.encode()), purpose="assistants")
        client.vector_stores.files.create(file_id=file.id, vector_store_id=store.id)
    while ingestions is not None and ingestions.work_one():
        pass
    return store.id


def uses(*store_ids: str) -> Any:
    return {"file_search": {"vector_store_ids": [*store_ids]}}


def an_assistant(client: OpenAI, store_id: str | None, *tools: Any) -> str:
    return client.beta.assistants.create(
        model="gpt-4o",
        instructions="Be brief.",
        tools=[*(tools or (TOOL,))],
        tool_resources=uses(store_id) if store_id else {},
    ).id


def ask(client: OpenAI, assistant_id: str, thread_store: str | None = None, **options: Any) -> Any:
    question = {"role": "user", "content": "How many treadles?"}
    thread: Any = {"messages": [question]}
    if thread_store:
        thread["tool_resources"] = uses(thread_store)
    return client.beta.threads.create_and_run(assistant_id=assistant_id, thread=thread, **options)


def now(client: OpenAI, run: Any) -> Any:
    return client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)


def steps_of(client: OpenAI, run: Any) -> list[Any]:
    """With what searches found, oldest first."""
    listed = client.beta.threads.runs.steps.list(
        run.id, thread_id=run.thread_id, order="asc", include=[CONTENT]
    )
    return [step.to_dict() for step in listed.data]


def found_in(step: Any, number: int = 0) -> list[tuple[str, str]]:
    results = step["step_details"]["tool_calls"][number]["file_search"]["results"]
    return [(result["file_name"], result["content"][0]["text"]) for result in results]


def answer_of(client: OpenAI, run: Any) -> Any:
    return client.beta.threads.messages.list(run.thread_id).data[0].content[0].to_dict()["text"]


def test_the_model_searches_and_its_answer_cites_what_was_found(
    client: OpenAI, ingestions: Ingestions, worker: Bell, model_server: ModelServer
) -> None:
    assistant_id = an_assistant(client, a_store(client, ingestions, loom=LOOM, sky=SKY))
    assert client.beta.assistants.retrieve(assistant_id).to_dict()["tools"] == [
        {"type": "file_search", "file_search": {"ranking_options": RANKING}}
    ]
    run = ask(client, assistant_id)
    model_server.script(say(None, tool_calls=[search("treadles")]), say(ANSWER))
    worker.answer()
    ended = now(client, run)
    assert (ended.status, ended.usage.total_tokens) == ("completed", 36)
    tool_step, message_step = steps_of(client, run)
    (call,) = tool_step["step_details"]["tool_calls"]
    assert (tool_step["status"], tool_step["usage"]["total_tokens"]) == ("completed", 18)
    assert call.keys() == {"id", "type", "file_search"}
    assert call["file_search"]["ranking_options"] == RANKING
    best = call["file_search"]["results"][0]
    assert best == {
        "file_id": best["file_id"],
        "file_name": "loom.txt",
        "score": 1.0,
        "attributes": {},
        "content": [{"type": "text", "text": LOOM}],
    }
    assert message_step["type"] == "message_creation"
    assert message_step["created_at"] >= tool_step["created_at"]
    text = answer_of(client, run)
    (cited,) = text["annotations"]
    assert cited == {
        "type": "file_citation",
        "text": "【1:0†loom.txt】",
        "start_index": 10,
        "end_index": 24,
        "file_citation": {"file_id": best["file_id"]},
    }
    assert text["value"] == ANSWER
    assert text["value"][cited["start_index"] : cited["end_index"]] == cited["text"]


def test_the_model_is_offered_a_function_and_told_passages_with_their_markers(
    client: OpenAI, ingestions: Ingestions, worker: Bell, model_server: ModelServer
) -> None:
    assistant_id = an_assistant(client, a_store(client, ingestions, loom=LOOM))
    run = ask(client, assistant_id)
    model_server.script(say("Wait.", tool_calls=[search("treadles")]), say(ANSWER))
    worker.answer()
    first, second = model_server.requests
    (offered,) = first["tools"]
    assert (offered["type"], offered["function"]["name"]) == ("function", "file_search")
    assert offered["function"]["parameters"]["required"] == ["query"]
    system, question, said, called, result = second["messages"]
    assert (system["content"], question["content"]) == ("Be brief.", "How many treadles?")
    assert said == {"role": "assistant", "content": "Wait."}
    assert called["tool_calls"] == [search("treadles") | {"function": called_by("treadles")}]
    assert (result["role"], result["tool_call_id"]) == ("tool", "call_s")
    assert f"【1:0†loom.txt】\n{LOOM}" in result["content"]
    assert [step["type"] for step in steps_of(client, run)] == [
        "message_creation",
        "tool_calls",
        "message_creation",
    ]
    client.beta.threads.messages.create(run.thread_id, role="user", content="And?")
    client.beta.threads.runs.create(run.thread_id, assistant_id=assistant_id)
    worker.answer()
    assert [one["content"] for one in model_server.requests[-1]["messages"][1:]] == [
        "How many treadles?",
        "Wait.",
        ANSWER,
        "And?",
    ]


def called_by(query: str) -> dict[str, str]:
    return {"name": "file_search", "arguments": f'{{"query":"{query}"}}'}


def test_the_assistants_and_the_threads_store_are_searched_together(
    client: OpenAI, ingestions: Ingestions, worker: Bell, model_server: ModelServer
) -> None:
    of_assistant = a_store(client, ingestions, loom=LOOM)
    of_thread = a_store(client, ingestions, sky=SKY)
    loom_id = client.vector_stores.files.list(of_assistant).data[0].id
    client.vector_stores.files.create(file_id=loom_id, vector_store_id=of_thread)
    assert ingestions.work_one()
    run = ask(client, an_assistant(client, of_assistant), of_thread)
    model_server.script(say(None, tool_calls=[search("loom or sky?")]), say("Both."))
    worker.answer()
    assert sorted(found_in(steps_of(client, run)[0])) == [("loom.txt", LOOM), ("sky.txt", SKY)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_num_results": 1}, ["loom.txt"]),
        ({"ranking_options": {"score_threshold": 0.999}}, ["loom.txt"]),
        ({}, ["loom.txt", "sky.txt"]),
    ],
)
def test_a_tool_says_how_much_it_gives(
    client: OpenAI,
    ingestions: Ingestions,
    worker: Bell,
    model_server: ModelServer,
    options: Any,
    expected: list[str],
) -> None:
    store_id = a_store(client, ingestions, loom=LOOM, sky=SKY)
    assistant_id = an_assistant(client, store_id, TOOL | {"file_search": options})
    run = ask(client, assistant_id)
    model_server.script(say(None, tool_calls=[search("The loom has two treadles")]), say("Two."))
    worker.answer()
    assert [name for name, _ in found_in(steps_of(client, run)[0])] == expected


@pytest.mark.parametrize(
    ("tool", "param", "code"),
    [
        ({"max_num_results": 51}, "file_search.max_num_results", "integer_above_max_value"),
        ({"max_num_results": 0}, "file_search.max_num_results", "integer_below_min_value"),
        (
            {"ranking_options": {}},
            "file_search.ranking_options.score_threshold",
            "missing_required_parameter",
        ),
        (
            {"ranking_options": {"score_threshold": 1, "ranker": "best"}},
            "file_search.ranking_options.ranker",
            "invalid_value",
        ),
    ],
)
def test_what_a_tool_cannot_give_is_refused(
    http: httpx2.Client, tool: Any, param: str, code: str
) -> None:
    body = {"model": "m", "tools": [TOOL | {"file_search": tool}]}
    error = error_of(http.post("assistants", json=body))
    assert (error["param"], error["code"]) == (f"tools[0].{param}", code)


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ('{"query": "treadles"}', "treadles"),
        ('{"queries": ["two", "treadles"]}', "two\ntreadles"),
        ('"treadles"', "treadles"),
        ("treadles", "treadles"),
        ('{"query": "a\\u0000treadles"}', "a treadles"),
        ("{}", "How many treadles?"),
        ("", "How many treadles?"),
        ("7", "How many treadles?"),
    ],
)
def test_arguments_are_taken_as_models_write_them(
    client: OpenAI,
    ingestions: Ingestions,
    worker: Bell,
    model_server: ModelServer,
    arguments: str,
    query: str,
) -> None:
    run = ask(client, an_assistant(client, a_store(client, ingestions, loom=LOOM)))
    call = search("") | {"function": {"name": "file_search", "arguments": arguments}}
    model_server.script(say(None, tool_calls=[call]), say("Two."))
    worker.answer()
    assert now(client, run).status == "completed"
    assert model_server.embedded[-1]["input"] == [query]
    assert found_in(steps_of(client, run)[0]) == [("loom.txt", LOOM)]


def test_functions_beside_a_search_are_handed_over_with_what_it_found(
    client: OpenAI, ingestions: Ingestions, worker: Bell, model_server: ModelServer
) -> None:
    store_id = a_store(client, ingestions, loom=LOOM)
    run = ask(client, an_assistant(client, store_id, TOOL, WEATHER))
    both = [weather("call_w", "Paris"), search("treadles")]
    model_server.script(say(None, tool_calls=both), say(ANSWER))
    worker.answer()
    waiting = now(client, run)
    assert waiting.status == "requires_action"
    assert waiting.required_action.to_dict()["submit_tool_outputs"]["tool_calls"] == [
        weather("call_w", "Paris")
    ]
    (step,) = steps_of(client, run)
    assert (step["status"], found_in(step, 1)) == ("in_progress", [("loom.txt", LOOM)])
    outputs: Any = [{"tool_call_id": "call_w", "output": "sun"}]
    for headers in ({}, {"x-stainless-retry-count": "1"}):
        client.beta.threads.runs.submit_tool_outputs(
            run.id, thread_id=run.thread_id, tool_outputs=outputs, extra_headers=headers
        )
    worker.answer()
    assert now(client, run).status == "completed"
    step = steps_of(client, run)[0]
    assert step["step_details"]["tool_calls"][0]["function"]["output"] == "sun"
    assert found_in(step, 1) == [("loom.txt", LOOM)]
    told = [one["content"] for one in model_server.requests[-1]["messages"][-2:]]
    assert told[0] == "sun"
    assert LOOM in told[1]
    assert len(answer_of(client, run)["annotations"]) == 1


def test_a_function_of_the_callers_may_have_the_same_name(
    client: OpenAI, ingestions: Ingestions, worker: Bell, model_server: ModelServer
) -> None:
    store_id = a_store(client, ingestions, loom=LOOM)
    own: Any = {"type": "function", "function": {"name": "file_search"}}
    run = ask(client, an_assistant(client, store_id, TOOL, own))
    model_server.script(
        say(None, tool_calls=[search("treadles", name="file_search_")]),
        say(None, tool_calls=[search("treadles", "call_own")]),
    )
    worker.answer()
    waiting = now(client, run)
    assert waiting.status == "requires_action"
    (call,) = waiting.required_action.submit_tool_outputs.tool_calls
    assert call.id == "call_own"
    assert found_in(steps_of(client, run)[0]) == [("loom.txt", LOOM)]


@pytest.mark.parametrize(
    ("choice", "first"),
    [
        ("required", "required"),
        (TOOL, {"type": "function", "function": {"name": "file_search"}}),
        ("none", "none"),
    ],
)
def test_a_search_that_is_demanded_is_demanded_once(
    client: OpenAI,
    ingestions: Ingestions,
    worker: Bell,
    model_server: ModelServer,
    choice: Any,
    first: Any,
) -> None:
    store_id = a_store(client, ingestions, loom=LOOM)
    ask(client, an_assistant(client, store_id), tool_choice=choice)
    model_server.script(say(None, tool_calls=[search("treadles")]), say("Two."))
    worker.answer()
    assert [body["tool_choice"] for body in model_server.requests] == [first, "auto"]


def test_a_run_without_the_tool_searches_nothing(
    client: OpenAI, ingestions: Ingestions, worker: Bell, model_server: ModelServer
) -> None:
    store_id = a_store(client, ingestions, loom=LOOM)
    assistant_id = an_assistant(client, store_id)
    run = ask(client, assistant_id, store_id, tools=[])
    model_server.script(say("【1:0†loom.txt】"))
    worker.answer()
    assert "tools" not in model_server.requests[0]
    assert answer_of(client, run)["annotations"] == []


def test_a_model_that_searches_without_end_is_stopped(
    client: OpenAI, ingestions: Ingestions, worker: Bell, model_server: ModelServer
) -> None:
    run = ask(client, an_assistant(client, a_store(client, ingestions, loom=LOOM)))
    model_server.always(say(None, tool_calls=[search("treadles")]))
    worker.answer()
    ended = now(client, run)
    assert (ended.status, ended.last_error.code) == ("failed", "server_error")
    assert ended.last_error.message == "The model searched more than 10 times in one run."
    assert len(steps_of(client, run)) == 10
    assert "tools" not in model_server.requests[-1]
    assert model_server.asked() == 11


def test_searches_of_one_turn_have_markers_of_their_own(
    client: OpenAI, ingestions: Ingestions, worker: Bell, model_server: ModelServer
) -> None:
    run = ask(client, an_assistant(client, a_store(client, ingestions, loom=LOOM, sky=SKY)))
    calls = [search("two treadles"), search("blue sky", "call_t")]
    text = "Two【1:0†loom.txt】 and blue【2:0†sky.txt】【3:0†sky.txt】"
    model_server.script(say(None, tool_calls=calls), say(text))
    worker.answer()
    assert [one["text"] for one in answer_of(client, run)["annotations"]] == [
        "【1:0†loom.txt】",
        "【2:0†sky.txt】",
    ]


def test_an_answer_cut_off_in_its_calls_has_searched_nothing(
    client: OpenAI, ingestions: Ingestions, worker: Bell, model_server: ModelServer
) -> None:
    run = ask(client, an_assistant(client, a_store(client, ingestions, loom=LOOM)))
    model_server.script(say(None, finish="length", tool_calls=[search("treadles")]))
    worker.answer()
    (step,) = steps_of(client, run)
    assert (now(client, run).status, step["status"]) == ("incomplete", "failed")
    assert found_in(step) == []


def test_a_prompt_of_few_tokens_has_less_of_what_was_found(
    settings: Settings,
    database: Database,
    lease: Lease,
    client: OpenAI,
    ingestions: Ingestions,
    model_server: ModelServer,
) -> None:
    run = ask(
        client,
        an_assistant(client, a_store(client, ingestions, loom=LOOM * 100, sky=SKY * 100)),
        max_prompt_tokens=256,
    )
    model_server.script(say(None, tool_calls=[search("loom")]), say("Two."))
    with a_worker(settings, database, lease) as worker:
        worker.answer()
    ((name, text),) = found_in(steps_of(client, run)[0])
    assert (name, len(text)) == ("loom.txt", 128 * 3)


def test_a_thread_whose_store_expired_fails_its_runs(
    client: OpenAI,
    ingestions: Ingestions,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
) -> None:
    store_id = a_store(client, ingestions, loom=LOOM)
    run = ask(client, an_assistant(client, None), store_id)
    with database.autocommit() as tx:
        tx.execute("UPDATE vector_stores SET expires_at = now(), expires_after_days = 1")
    worker.answer()
    ended = now(client, run)
    assert (ended.status, ended.last_error.message) == (
        "failed",
        f"Vector store '{store_id}' has expired.",
    )
    assert model_server.asked() == 0


def test_a_store_that_was_deleted_is_not_missed(
    client: OpenAI, ingestions: Ingestions, worker: Bell, model_server: ModelServer
) -> None:
    store_id = a_store(client, ingestions, loom=LOOM)
    run = ask(client, an_assistant(client, store_id))
    client.vector_stores.delete(store_id)
    model_server.script(say(None, tool_calls=[search("treadles")]), say("No idea."))
    worker.answer()
    assert now(client, run).status == "completed"
    assert model_server.requests[-1]["messages"][-1]["content"].startswith("Nothing was found")


def be_due(database: Database) -> None:
    with database.autocommit() as tx:
        tx.execute("UPDATE runs SET run_after = now()")


def test_a_run_waits_for_the_files_of_its_thread_and_holds_no_worker(
    client: OpenAI,
    ingestions: Ingestions,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
) -> None:
    store_id = a_store(client, None, loom=LOOM)
    run = ask(client, an_assistant(client, None), store_id)
    worker.answer()
    assert (now(client, run).status, model_server.asked()) == ("in_progress", 0)
    with database.autocommit() as tx:
        assert tx.values("SELECT worker_id FROM runs") == [None]
    assert ingestions.work_one()
    be_due(database)
    model_server.script(say(None, tool_calls=[search("treadles")]), say("Two."))
    worker.answer()
    assert found_in(steps_of(client, run)[0]) == [("loom.txt", LOOM)]


def test_a_run_does_not_wait_for_ever_nor_for_its_assistants_files(
    client: OpenAI, worker: Bell, database: Database
) -> None:
    of_thread = a_store(client, None, loom=LOOM)
    waiting = ask(client, an_assistant(client, None), of_thread)
    other = ask(client, an_assistant(client, a_store(client, None, sky=SKY)))
    worker.answer()
    assert (now(client, waiting).status, now(client, other).status) == ("in_progress", "completed")
    with database.autocommit() as tx:
        tx.execute("UPDATE runs SET started_at = now() - interval '60 s', run_after = now()")
    worker.answer()
    assert now(client, waiting).status == "completed"


def test_a_search_that_fails_for_now_is_made_again_later(
    client: OpenAI,
    ingestions: Ingestions,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
) -> None:
    run = ask(client, an_assistant(client, a_store(client, ingestions, loom=LOOM)))
    embed, model_server.embed = model_server.embed, fail(503)
    model_server.always(say(None, tool_calls=[search("treadles")]))
    worker.answer()
    assert (now(client, run).status, steps_of(client, run)) == ("in_progress", [])
    model_server.embed = embed
    model_server.script(say(None, tool_calls=[search("treadles")]), say(ANSWER))
    be_due(database)
    worker.answer()
    assert now(client, run).status == "completed"
    assert len(steps_of(client, run)) == 2


def test_a_question_that_has_no_vector_is_searched_by_its_words(
    client: OpenAI, ingestions: Ingestions, worker: Bell, model_server: ModelServer
) -> None:
    run = ask(client, an_assistant(client, a_store(client, ingestions, loom=LOOM)))
    model_server.embed = fail(400)
    model_server.script(say(None, tool_calls=[search("treadles")]), say(ANSWER))
    worker.answer()
    assert now(client, run).status == "completed"
    assert found_in(steps_of(client, run)[0]) == [("loom.txt", LOOM)]


def test_a_run_that_is_cancelled_while_it_searches_goes_no_further(
    client: OpenAI, ingestions: Ingestions, worker: Bell, model_server: ModelServer
) -> None:
    run = ask(client, an_assistant(client, a_store(client, ingestions, loom=LOOM)))

    def cancel(handler: Any, body: Any) -> None:
        client.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)
        embed(handler, body)

    embed, model_server.embed = model_server.embed, cancel
    model_server.script(say(None, tool_calls=[search("treadles")]))
    worker.answer()
    assert (now(client, run).status, steps_of(client, run)) == ("cancelled", [])
    assert model_server.asked() == 1


class LosesAnswers(Database):
    """Once, when a step was just committed."""

    lost = False

    @contextmanager
    def autocommit(self) -> Iterator[Transaction]:
        with super().autocommit() as tx:
            yield tx
            stored = tx.value("SELECT count(*) FROM run_steps")
        if stored and not self.lost:
            self.lost = True
            raise Unavailable("Committed, but who knows?")


@pytest.mark.parametrize("text", [None, "Wait."])
def test_a_search_whose_commit_is_not_heard_of_is_stored_once(
    settings: Settings,
    lease: Lease,
    client: OpenAI,
    ingestions: Ingestions,
    model_server: ModelServer,
    text: str | None,
) -> None:
    run = ask(client, an_assistant(client, a_store(client, ingestions, loom=LOOM)))
    model_server.script(say(text, tool_calls=[search("treadles")]), say(ANSWER))
    with (
        LosesAnswers(settings.database_url, settings.database_pool) as forgetful,
        a_worker(settings, forgetful, lease) as worker,
    ):
        worker.answer()
        assert forgetful.lost
    assert (now(client, run).status, model_server.asked()) == ("completed", 2)
    assert len(steps_of(client, run)) == (2 if text is None else 3)


def test_content_is_shown_where_it_is_asked_for(
    client: OpenAI,
    http: httpx2.Client,
    ingestions: Ingestions,
    worker: Bell,
    model_server: ModelServer,
) -> None:
    run = ask(client, an_assistant(client, a_store(client, ingestions, loom=LOOM)))
    model_server.script(say(None, tool_calls=[search("treadles")]), say(ANSWER))
    worker.answer()
    path = f"threads/{run.thread_id}/runs/{run.id}/steps"
    step_id = steps_of(client, run)[0]["id"]
    for name in ("include", "include[]"):
        for asked, shown in ((CONTENT, True), (None, False)):
            params = {name: asked} if asked else {}
            listed = http.get(path, params={**params, "order": "asc"}).json()["data"][0]
            one = http.get(f"{path}/{step_id}", params=params).json()
            assert listed == one
            (call,) = one["step_details"]["tool_calls"]
            assert call["file_search"].keys() == {"ranking_options", "results"}
            assert ("content" in call["file_search"]["results"][0]) == shown
        for where in (path, f"{path}/{step_id}"):
            error = error_of(http.get(where, params={name: "everything"}))
            assert (error["param"], error["code"]) == (f"{name}[0]", "invalid_value")
            assert error["message"] == (
                f"Invalid value: 'everything'. Supported values are: '{CONTENT}'."
            )


def stream(http: httpx2.Client, client: OpenAI, assistant_id: str, **params: Any) -> list[Any]:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "How many?"}])
    body = {"assistant_id": assistant_id, "stream": True}
    return parsed(http.post(f"threads/{thread.id}/runs", json=body, params=params).text)


STEP = ["thread.run.step.created", "thread.run.step.in_progress"]
SEARCHED = [*STEP, "thread.run.step.delta", "thread.run.step.completed"]
SAID = [
    *STEP,
    *("thread.message.created", "thread.message.in_progress", "thread.message.delta"),
    *("thread.message.completed", "thread.run.step.completed"),
]


@pytest.mark.parametrize("whole", [True, False])
def test_a_stream_tells_the_search_and_each_citation_with_its_marker(
    client: OpenAI,
    http: httpx2.Client,
    ingestions: Ingestions,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
    whole: bool,
) -> None:
    assistant_id = an_assistant(client, a_store(client, ingestions, loom=LOOM))
    text = "Two 【1:0†loom.txt】【1:0† no 【1:0†loom.txt】"
    model_server.script(say(None, tool_calls=[search("treadles")]), say(text))
    with working(worker, database):
        events = stream(http, client, assistant_id, **({"include[]": CONTENT} if whole else {}))
    runs = [f"thread.run.{status}" for status in ("created", "queued", "in_progress")]
    assert names(events) == [*runs, *SEARCHED, *SAID, "thread.run.completed", "done"]
    (delta,) = [body for name, body in events if name == "thread.run.step.delta"]
    (call,) = delta["delta"]["step_details"]["tool_calls"]
    begun = {"ranking_options": RANKING, "results": []}
    assert call == {"index": 0, "id": "call_s", "type": "file_search", "file_search": begun}
    step = next(body for name, body in events if name == "thread.run.step.completed")
    (result,) = step["step_details"]["tool_calls"][0]["file_search"]["results"]
    assert ("content" in result) == whole
    assert text_of(events) == text
    told = [
        part["text"]
        for name, body in events
        if name == "thread.message.delta"
        for part in body["delta"]["content"]
        if part["text"].get("annotations")
    ]
    assert [one["value"] for one in told] == ["【1:0†loom.txt】"] * 2
    annotations = [one for part in told for one in part["annotations"]]
    assert [one.pop("index") for one in annotations] == [0, 1]
    assert [one["file_citation"].pop("quote") for one in annotations] == ["", ""]
    message = next(body for name, body in events if name == "thread.message.completed")
    assert message["content"][0]["text"] == {"value": text, "annotations": annotations}


def test_a_stream_that_joins_later_is_told_the_same(
    client: OpenAI,
    http: httpx2.Client,
    ingestions: Ingestions,
    worker: Bell,
    model_server: ModelServer,
) -> None:
    run = ask(client, an_assistant(client, a_store(client, ingestions, loom=LOOM)))
    model_server.script(say(None, tool_calls=[search("treadles")]), say(ANSWER))
    worker.answer()
    events = http.get(f"threads/{run.thread_id}/runs/{run.id}/events").text
    frames = [frame for frame in events.split("\n\n") if "thread.message.delta" in frame]
    assert len(frames) == 3
    assert '"annotations":[{"index":0' in frames[1]
    last = next(line for line in frames[0].split("\n") if line.startswith("id: "))
    assert '"content":[{"type":"text","text":"The loom' not in events
    whole = http.get(f"threads/{run.thread_id}/runs/{run.id}/events", params={"include": CONTENT})
    assert '"content":[{"type":"text","text":"The loom' in whole.text
    rest = http.get(
        f"threads/{run.thread_id}/runs/{run.id}/events",
        headers={"Last-Event-ID": last.removeprefix("id: ")},
    ).text
    assert rest == events[events.index(frames[1]) :]


def test_functions_and_a_search_in_one_turn_are_streamed_in_their_order(
    client: OpenAI,
    http: httpx2.Client,
    ingestions: Ingestions,
    worker: Bell,
    database: Database,
    model_server: ModelServer,
) -> None:
    store_id = a_store(client, ingestions, loom=LOOM)
    assistant_id = an_assistant(client, store_id, TOOL, WEATHER)
    calls = [search("treadles"), weather("call_w", "Paris")]
    model_server.script(say(None, tool_calls=calls), say("Two 【1:0†loom.txt】"))
    with working(worker, database):
        events = stream(http, client, assistant_id)
        deltas = [body["delta"] for name, body in events if name == "thread.run.step.delta"]
        told = [call for delta in deltas for call in delta["step_details"]["tool_calls"]]
        assert [(call["index"], call["type"]) for call in told[:2]] == [
            (0, "file_search"),
            (1, "function"),
        ]
        run = next(body for name, body in events if name == "thread.run.requires_action")
        path = f"threads/{run['thread_id']}/runs/{run['id']}/submit_tool_outputs"
        outputs = [{"tool_call_id": "call_w", "output": "sun"}]
        rest = parsed(http.post(path, json={"tool_outputs": outputs, "stream": True}).text)
    assert names(rest)[0] == "thread.run.step.completed"
    message = next(body for name, body in rest if name == "thread.message.completed")
    assert len(message["content"][0]["text"]["annotations"]) == 1


def test_with_search_first_a_model_need_not_call(
    settings: Settings,
    database: Database,
    lease: Lease,
    caller: Caller,
    client: OpenAI,
    ingestions: Ingestions,
    model_server: ModelServer,
) -> None:
    run = ask(client, an_assistant(client, a_store(client, ingestions, loom=LOOM), TOOL, WEATHER))
    model_server.script(say(ANSWER))
    with a_worker(replace(settings, search_first=True), database, lease) as worker:
        worker.answer()
    (request,) = model_server.requests
    assert [tool["function"]["name"] for tool in request["tools"]] == ["get_weather"]
    system, question = request["messages"]
    assert system["content"] == "Be brief."
    assert question["content"].endswith(f"【1:0†loom.txt】\n{LOOM}\n\nHow many treadles?")
    tool_step, message_step = steps_of(client, run)
    assert found_in(tool_step) == [("loom.txt", LOOM)]
    assert tool_step["usage"]["total_tokens"] == 0
    (call,) = tool_step["step_details"]["tool_calls"]
    assert call["id"].startswith("call_")
    assert call.keys() == {"id", "type", "file_search"}
    assert call["file_search"].keys() == {"ranking_options", "results"}
    assert message_step["type"] == "message_creation"
    assert len(answer_of(client, run)["annotations"]) == 1
    with an_app(settings) as app, http_as(app, caller.secret) as http:
        events = http.get(f"threads/{run.thread_id}/runs/{run.id}/events").text
    assert events.count("event: thread.run.step.completed") == 2


def test_search_first_searches_only_where_there_is_something_to_search_with(
    settings: Settings,
    database: Database,
    lease: Lease,
    client: OpenAI,
    ingestions: Ingestions,
    model_server: ModelServer,
) -> None:
    assistant_id = an_assistant(client, a_store(client, ingestions, loom=LOOM))
    runs = [ask(client, assistant_id, tool_choice="none"), ask(client, assistant_id, tools=[])]
    with a_worker(replace(settings, search_first=True), database, lease) as worker:
        worker.answer()
    assert [len(steps_of(client, run)) for run in runs] == [1, 1]
    assert [len(body["messages"]) for body in model_server.requests] == [2, 2]


def test_another_project_cannot_be_searched(
    settings: Settings,
    database: Database,
    client: OpenAI,
    ingestions: Ingestions,
    worker: Bell,
    model_server: ModelServer,
) -> None:
    """Though a row should name its store."""
    store_id = a_store(client, ingestions, loom=LOOM)
    run = ask(client, an_assistant(client, store_id))
    with database.autocommit() as tx:
        tx.execute("INSERT INTO projects (id, name) VALUES ('proj_other', 'other')")
        tx.execute("UPDATE vector_stores SET project_id = 'proj_other'")
        tx.execute("UPDATE vector_store_files SET project_id = 'proj_other'")
    model_server.script(say(None, tool_calls=[search("treadles")]), say("No idea."))
    worker.answer()
    assert found_in(steps_of(client, run)[0]) == []
