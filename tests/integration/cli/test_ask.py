"""`treadle ask` on somebody else's server: what is asked, what comes out, what is said."""

import csv
import json
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.ask.command import ask
from cli.embedded.home import Home
from tests.assistants_server import AssistantsServer


@pytest.fixture
def server() -> Iterator[AssistantsServer]:
    with AssistantsServer() as server:
        yield server


@pytest.fixture(autouse=True)
def here(server: AssistantsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "right")


def run(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(ask, arguments, input=stdin)


def answered(*arguments: str, status: int = 0) -> list[dict[str, Any]]:
    """After a run over these questions.*, the lines of a.jsonl."""
    result = run(*arguments, "-o", "a.jsonl")
    assert result.exit_code == status, result.output
    return read("a.jsonl")


def read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


def write_objects(*objects: dict[str, Any]) -> str:
    Path("q.jsonl").write_text("".join(json.dumps(one) + "\n" for one in objects))
    return "q.jsonl"


def write_questions(*questions: str) -> str:
    Path("q.txt").write_text("".join(f"{question}\n" for question in questions))
    return "q.txt"


def test_each_line_of_text_is_answered_under_its_number(server: AssistantsServer) -> None:
    lines = answered(
        write_questions("Why?", "", "How?"), "--model", "m", "--instructions", "Brief."
    )
    assert {line["custom_id"]: line["answer"] for line in lines} == {
        "1": "You said: Why?",
        "3": "You said: How?",
    }
    assert server.assistants == [{"model": "m", "name": "treadle ask", "instructions": "Brief."}]
    assert {run.body["assistant_id"] for run in server.runs} == {"asst_1"}


def test_an_answer_says_all_that_is_known_of_it(server: AssistantsServer) -> None:
    given = {"custom_id": "a", "question": "Why?", "model": "m", "metadata": {"shelf": "7"}}
    (line,) = answered(write_objects(given))
    assert line == {
        "custom_id": "a",
        "line": 1,
        "status": "completed",
        "answer": "You said: Why?",
        "thread_id": "thread_r0",
        "run_id": "r0",
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
        "error": None,
        "metadata": {"shelf": "7"},
    }


def test_a_question_brings_its_own_options_and_conversation(server: AssistantsServer) -> None:
    messages = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "One."},
        {"role": "user", "content": "Two?"},
    ]
    given = {"messages": messages, "assistant_id": "asst_own", "temperature": 0.5, "custom_id": 7}
    (line,) = answered(write_objects(given), "--assistant", "asst_job", "--instructions", "Brief.")
    assert (line["custom_id"], line["answer"]) == ("7", "You said: Two?")
    assert server.runs[0].body == {
        "thread": {"messages": messages},
        "assistant_id": "asst_own",
        "temperature": 0.5,
    }


def test_csv_goes_in_and_comes_out(server: AssistantsServer) -> None:
    Path("q.csv").write_text('custom_id,question,shelf\na,"Why,\n""so""?",7\nb,How?,8\n')
    result = run("q.csv", "-o", "a.csv", "--model", "m", "--keep-order")
    assert result.exit_code == 0, result.output
    with Path("a.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first["answer"] == 'You said: Why,\n"so"?'
    assert (first["custom_id"], first["line"], first["total_tokens"]) == ("a", "2", "5")
    assert (second["custom_id"], second["line"]) == ("b", "4")
    assert json.loads(second["metadata"]) == {"shelf": "8"}
    again = run("q.csv", "-o", "a.csv", "--model", "m", "--keep-order")
    assert "2 of 2 are answered already" in again.stderr
    assert len(server.runs) == 2


def test_standard_input_is_asked_and_taken_up_again(server: AssistantsServer) -> None:
    arguments = ("-", "--format", "text", "-o", "a.jsonl", "--model", "m")
    assert run(*arguments, stdin=b"Why?\nHow?\n").exit_code == 0
    assert run(*arguments, stdin=b"Why?\nHow?\n").exit_code == 0
    assert sorted(server.asked()) == ["How?", "Why?"]
    assert "begun with another input" in run(*arguments, stdin=b"Why?\n").stderr


def test_the_order_is_kept_however_long_each_takes(server: AssistantsServer) -> None:
    questions = [f"Question {number}?" for number in range(12)]
    server.fates[questions[0]] = ["failed:server_error", "completed"]
    lines = answered(write_questions(*questions), "--model", "m", "--keep-order")
    assert [line["answer"] for line in lines] == [f"You said: {one}" for one in questions]
    assert server.asked()[-1] == questions[0]


def test_a_run_that_the_server_failed_is_tried_again_and_others_are_not(
    server: AssistantsServer,
) -> None:
    server.fates = {
        "a": ["failed:server_error", "completed"],
        "b": ["expired", "expired", "expired", "completed"],
        "c": ["failed:invalid_prompt", "completed"],
    }
    lines = answered(write_questions("a", "b", "c"), "--model", "m", "--retries", "1", status=1)
    told = {line["line"]: (line["status"], (line["error"] or {}).get("code")) for line in lines}
    assert told == {
        1: ("completed", None),
        2: ("expired", "expired"),
        3: ("failed", "invalid_prompt"),
    }
    assert sorted(server.asked()) == ["a", "a", "b", "b", "c"]


def test_each_run_is_asked_for_in_the_lane_of_batches_under_a_key_of_its_own(
    server: AssistantsServer,
) -> None:
    server.fates["a"] = ["failed:server_error"]
    answered(write_questions("a", "b"), "--model", "m")
    assert {run.headers["treadle-lane"] for run in server.runs} == {"batch"}
    assert len({run.headers["idempotency-key"] for run in server.runs}) == 3


def test_an_incomplete_answer_is_kept_with_its_reason(server: AssistantsServer) -> None:
    server.fates["Why?"] = ["incomplete"]
    (line,) = answered(write_questions("Why?"), "--model", "m", status=1)
    assert (line["status"], line["answer"]) == ("incomplete", "You said: Why?")
    assert line["error"]["code"] == "max_tokens"


def test_a_run_that_wants_tool_outputs_is_cancelled(server: AssistantsServer) -> None:
    server.fates["Rain?"] = ["requires_action"]
    (line,) = answered(write_questions("Rain?"), "--model", "m", status=1)
    assert server.cancelled == ["r0"]
    assert (line["status"], line["error"]["code"]) == ("cancelled", "requires_action")
    assert "weather" in line["error"]["message"]


def test_what_passes_is_waited_out_and_what_does_not_is_that_lines_error(
    server: AssistantsServer,
) -> None:
    server.refuse(429, Retry_After="0")
    server.refuse(503, Retry_After="0")
    server.refuse(400, "invalid_value")
    (line,) = answered(write_questions("Why?"), "--model", "m", status=1)
    assert line["error"] == {"code": "invalid_value", "message": "Refused with 400."}
    assert (line["status"], line["run_id"]) == ("failed", None)


def test_a_question_that_breaks_the_server_each_time_keeps_nobody_waiting_for_ever(
    server: AssistantsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.ask.server._LONGEST_PAUSE", 0.01)
    server.deadly = {"Poison?"}
    lines = answered(write_questions("Poison?", "Why?"), "--model", "m", "--keep-order", status=1)
    assert [line["status"] for line in lines] == ["failed", "completed"]
    assert lines[0]["error"]["code"] == "no_answer"


def test_the_running_treadle_up_is_asked_if_no_address_is_given(
    server: AssistantsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Home(tmp_path).write_client_settings(server.base_url, "right")
    monkeypatch.setenv("TREADLE_HOME", str(tmp_path))
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.setenv("OPENAI_API_KEY", "for somebody else")
    (line,) = answered(write_questions("Why?"), "--model", "m")
    assert line["answer"] == "You said: Why?"


def test_a_wrong_key_ends_it_at_once_with_one_sentence(server: AssistantsServer) -> None:
    result = run(write_questions("Why?"), "-o", "a.jsonl", "--model", "m", "--key", "wrong")
    assert result.exit_code == 2
    said = f"treadle ask: {server.base_url} refuses the key: Incorrect API key.\n"
    assert result.output == said


def test_an_unknown_assistant_ends_it_at_once_with_one_sentence(server: AssistantsServer) -> None:
    result = run(write_questions("Why?"), "-o", "a.jsonl", "--assistant", "other")
    assert result.exit_code == 2
    assert "has no assistant other: No assistant found" in result.stderr
    assert server.runs == []


def test_an_address_without_the_assistants_api_ends_it_at_once(server: AssistantsServer) -> None:
    url = server.base_url + "/elsewhere"
    result = run(write_questions("Why?"), "-o", "a.jsonl", "--model", "m", "--base-url", url)
    assert result.exit_code == 2
    assert "does not serve the Assistants API" in result.stderr


def test_all_bad_lines_are_told_before_anything_is_asked(server: AssistantsServer) -> None:
    Path("q.jsonl").write_text('{"question": "Why?"}\nnot json\n{"question": ""}\n')
    result = run("q.jsonl", "-o", "a.jsonl", "--model", "m")
    assert result.exit_code == 2
    assert "2 of the 3 lines" in result.stderr
    assert "line 2 is not JSON" in result.stderr
    assert "line 3 has no text in 'question'" in result.stderr
    assert (server.runs, list(Path().glob("a.jsonl*"))) == ([], [])


def test_bad_lines_that_are_skipped_are_told_in_the_output(server: AssistantsServer) -> None:
    Path("q.jsonl").write_text('not json\n{"question": "Why?"}\n')
    lines = answered("q.jsonl", "--model", "m", "--skip-bad", "--keep-order", status=1)
    assert [line["status"] for line in lines] == ["not_asked", "completed"]
    assert lines[0]["error"]["code"] == "bad_line"
    assert lines[0]["error"]["message"].startswith("Line 1 is not JSON")


def test_another_input_or_other_options_are_refused_until_restart_is_said(
    server: AssistantsServer,
) -> None:
    answered(write_questions("Why?"), "--model", "m")
    other = run(write_questions("Why?", "How?"), "-o", "a.jsonl", "--model", "m")
    assert (other.exit_code, "begun with another input" in other.stderr) == (2, True)
    write_questions("Why?")
    other = run("q.txt", "-o", "a.jsonl", "--model", "n")
    assert (other.exit_code, "begun with --model m" in other.stderr) == (2, True)
    (line,) = answered("q.txt", "--model", "n", "--restart")
    assert line["run_id"] == "r1"


def test_a_file_that_is_no_output_of_ours_is_not_touched(server: AssistantsServer) -> None:
    Path("a.jsonl").write_text("a poem\n")
    result = run(write_questions("Why?"), "-o", "a.jsonl", "--model", "m")
    assert result.exit_code == 2
    assert Path("a.jsonl").read_text() == "a poem\n"
    assert run("q.txt", "-o", "q.txt", "--model", "m").exit_code == 2
    assert Path("q.txt").read_text() == "Why?\n"


def test_a_torn_end_is_cut_off_and_its_answer_fetched_and_not_asked_again(
    server: AssistantsServer,
) -> None:
    whole = answered(write_questions("a", "b", "c"), "--model", "m", "--in-flight", "1")
    text = Path("a.jsonl").read_bytes()
    torn = text[: text.rindex(b'"answer"')]
    for end in (b"", b"\0" * 4096, b"\0" * 100 + b"\n" + text):
        Path("a.jsonl").write_bytes(torn + end)
        assert answered("q.txt", "--model", "m", "--in-flight", "1") == whole
    Path("a.jsonl").unlink()
    assert answered("q.txt", "--model", "m", "--in-flight", "1") == whole
    assert server.asked() == ["a", "b", "c"]


def test_a_disk_that_takes_no_more_ends_it_with_a_sentence_and_nothing_is_lost(
    server: AssistantsServer,
) -> None:
    arguments = (write_questions(*map(str, range(60))), "-o", "a.jsonl", "--model", "m")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, hard))
    try:
        full = run(*arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert full.exit_code == 2
    assert "a.jsonl cannot be written: File too large." in full.stderr
    assert "a.jsonl had a torn end" in run(*arguments).stderr
    answers = {line["custom_id"]: line["answer"] for line in read("a.jsonl")}
    assert answers == {str(n + 1): f"You said: {n}" for n in range(60)}
    assert len(server.runs) == len(read("a.jsonl")) == 60


def test_a_torn_journal_only_forgets_what_was_torn(server: AssistantsServer) -> None:
    answered(write_questions("a", "b"), "--model", "m", "--in-flight", "1")
    journal = Path("a.jsonl.journal")
    journal.write_bytes(journal.read_bytes()[:-10])
    Path("a.jsonl").unlink()
    lines = answered("q.txt", "--model", "m", "--in-flight", "1")
    assert [line["answer"] for line in lines] == ["You said: a", "You said: b"]
    assert server.asked() == ["a", "b", "b"]
    assert len(server.assistants) == 1


def test_a_second_one_on_the_same_output_is_refused(server: AssistantsServer) -> None:
    server.held = threading.Event()
    arguments = (write_questions("Why?"), "-o", "a.jsonl", "--model", "m")
    second: list[Result] = []

    def try_second() -> None:
        while not server.runs:
            threading.Event().wait(0.01)
        second.append(run(*arguments))
        assert server.held is not None
        server.held.set()

    beside = threading.Thread(target=try_second)
    beside.start()
    assert run(*arguments).exit_code == 0
    beside.join()
    assert second[0].exit_code == 2
    assert "Another `treadle ask` is writing a.jsonl" in second[0].stderr
