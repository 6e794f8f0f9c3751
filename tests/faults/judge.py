"""What must hold in the end, read over HTTP and SQL, held against what clients were told."""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from openai import OpenAI

from tests.faults.fault import FAILURES, Bout
from tests.faults.ledger import Ledger, Violation
from tests.faults.model import Ask, expected_answer
from tests.faults.stage import UNFINISHED, Stage
from tests.faults.table import Figures, Outcome

# The promise: an end by expires_at and so much more.
LATEST_END_SECONDS = 60
# A crash is felt a little before and after it is made.
NEAR_SECONDS = 3.0


@dataclass(frozen=True)
class Row:
    """A run as PostgreSQL has it; instants in Unix seconds."""

    id: str
    thread_id: str
    status: str
    created_at: float
    expires_at: float
    ended_at: float | None
    answers: int
    steps: int  # that say there is an answer
    awaits: bool  # outputs of tools, or did so in the end


class Judge:
    def __init__(self, stage: Stage, ledger: Ledger, bouts: Sequence[Bout]) -> None:
        self._stage = stage
        self._ledger = ledger
        self._bouts = bouts
        self._violations: list[Violation] = []
        self._asks: defaultdict[tuple[str, int], list[Ask]] = defaultdict(list)
        self._rows: dict[str, Row] = {}

    def judge(self) -> Outcome:
        self._wait_for_ends()
        began = self._bouts[0].began
        self._rows = {row[0]: Row(*row) for row in self._stage.sql(_RUNS, began)}
        for ask in self._stage.model.asks:
            if ask.at > began:
                self._asks[ask.question, ask.turn].append(ask)
        self._find_the_lost()
        for row in self._rows.values():
            self._judge_run(row)
        for thread_id in self._ledger.said.keys() - self._ledger.gone:
            self._judge_thread(thread_id)
        self._judge_asks()
        self._judge_connections()
        return self._outcome()

    def _wait_for_ends(self) -> None:
        latest = f"SELECT extract(epoch FROM max(expires_at))::float8 FROM runs WHERE {UNFINISHED}"  # noqa: S608
        while (expires_at := self._stage.sql(latest)[0][0]) is not None:
            if time.time() > expires_at + LATEST_END_SECONDS:
                return
            time.sleep(0.1)

    def _find_the_lost(self) -> None:
        for run in self._ledger.accepted.values():
            if run.run_id not in self._rows and run.thread_id not in self._ledger.gone:
                self._violate("lost", f"{run.run_id} was accepted and is not there", run.at)

    def _judge_run(self, row: Row) -> None:
        told = self._ledger.accepted.get(row.id)
        who = f"{row.id} ({told.client if told else 'unheard'})"
        wanted = 1 if row.status == "completed" else 0
        if row.ended_at is None and row.status != "expired":
            self._violate("stuck", f"{who} is {row.status}", row.created_at)
        if row.answers > wanted or row.steps > wanted:
            self._violate("doubled", f"{who}: {row.answers} answers", row.created_at)
        if row.answers < wanted or row.steps < wanted:
            self._violate("lost", f"{who}: completed without its answer", row.created_at)
        if told and told.last_seen not in ("", row.status):
            self._violate("end changed", f"{who}: {told.last_seen}, {row.status}", row.created_at)
        if row.status in ("failed", "expired") and not self._has_reason(row, told is None):
            why = self._stage.sql("SELECT last_error FROM runs WHERE id = %s", row.id)[0][0]
            self._violate(f"{row.status} without a reason", f"{who}: {why}", row.created_at)

    def _has_reason(self, row: Row, unheard: bool) -> bool:
        """Only outputs that nobody will bring let a run expire."""
        if row.status == "expired":
            return unheard and row.awaits
        doomed = any(row.id in bout.fault.doomed for bout in self._bouts)
        return doomed or self._ledger.permits(
            FAILURES, row.created_at, row.ended_at or row.expires_at
        )

    def _judge_thread(self, thread_id: str) -> None:
        """The order is that of the conversation, on every page; nothing is there twice."""
        project = self._ledger.projects[thread_id]
        with OpenAI(base_url=self._stage.base_url, api_key=self._stage.secrets[project]) as client:
            messages = client.beta.threads.messages
            paged = list(messages.list(thread_id, order="asc", limit=1))
            whole = messages.list(thread_id, order="desc", limit=100).data[::-1]
        began = min((m.created_at for m in whole), default=time.time())
        if [m.id for m in paged] != [m.id for m in whole]:
            self._violate("order", f"{thread_id}: its pages differ from the whole", began)
        texts = [(m.role, m.status, m.content[0].text.value) for m in whole]  # type: ignore[union-attr]
        self._judge_conversation(thread_id, texts, began)
        counts = Counter(text for role, _, text in texts if role == "user")
        told = self._ledger.said[thread_id]
        for text, taken in told.items():
            if counts[text] != 1 and (taken or counts[text]):
                kind = "doubled" if counts[text] else "lost"
                self._violate(kind, f"{thread_id}: {text!r} {counts[text]} times", began)
        runs = sum(1 for row in self._rows.values() if row.thread_id == thread_id)
        if runs > len(told):
            self._violate("doubled", f"{thread_id}: {runs} runs for {len(told)} questions", began)

    def _judge_conversation(
        self, thread_id: str, texts: list[tuple[str, str | None, str]], began: float
    ) -> None:
        asked = ""
        for role, status, text in texts:
            if role == "user":
                asked = text
            elif status == "completed" and text != expected_answer(asked):
                self._violate("order", f"{thread_id}: {text!r} answers {asked!r}", began)

    def _judge_asks(self) -> None:
        """Once, and once more for each crash between."""
        told = {text for texts in self._ledger.said.values() for text in texts}
        for (question, turn), asks in self._asks.items():
            if question not in told:
                continue  # of a deleted thread, or of a race, which may ask one thing often
            sound = sorted(ask.at for ask in asks if not ask.moody)
            extra = len(sound) - 1
            near = [
                bout.fault
                for bout in self._bouts
                if extra > 0
                and bout.window.begins - NEAR_SECONDS < sound[-1]
                and bout.window.ends + NEAR_SECONDS > sound[0]
            ]
            if any(fault.spoils_calls for fault in near):
                continue
            if extra > sum(fault.crashes for fault in near):
                what = f"{question!r}, turn {turn}: {len(sound)} times at {sound}"
                self._violate("asked too often", what, sound[0])

    def _judge_connections(self) -> None:
        idle = self._stage.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'treadle'"
            " AND state LIKE 'idle in transaction%%' AND state_change < now() - interval '30 s'"
        )[0][0]
        if idle:
            self._violate("idle in transaction", f"{idle} connections", time.time())

    def _violate(self, kind: str, what: str, at: float) -> None:
        self._violations.append(Violation(self._bout_at(at), kind, what))

    def _bout_at(self, at: float) -> int:
        begun = [bout.number for bout in self._bouts if bout.began <= at]
        return begun[-1] if begun else 0

    def _outcome(self) -> Outcome:
        figures = [Figures(bout.fault.name) for bout in self._bouts]
        for row in self._rows.values():
            self._count(figures[self._bout_at(row.created_at)], row)
        violations = [*self._ledger.violations, *self._violations]
        for one in violations:
            figures[one.bout].count_violation(one.kind)
        for bout in self._bouts:
            figures[bout.number].posts += [
                seconds
                for at, seconds in self._ledger.posts
                if bout.window.begins <= at <= bout.window.ends
            ]
            figures[bout.number].recoveries += self._recoveries(bout)
        return Outcome(figures, [(figures[one.bout].name, one) for one in violations])

    def _count(self, figures: Figures, row: Row) -> None:
        figures.accepted += 1
        column = row.status if row.status in ("completed", "failed") else "over"
        setattr(figures, column, getattr(figures, column) + 1)

    def _recoveries(self, bout: Bout) -> list[float]:
        """For each run that was struck, the seconds until it was seen to go on."""
        since = bout.fault.struck_at
        found: list[float] = []
        for run_id in bout.fault.struck & self._rows.keys():
            row = self._rows[run_id]
            question = self._question(row)
            signs = [ask.at for ask in self._stage.model.asks if ask.question == question]
            signs += [row.ended_at] if row.ended_at else []
            after = [at - since for at in signs if at > since]
            found += [min(after)] if after else []
        return found

    def _question(self, row: Row) -> str:
        told = self._ledger.accepted.get(row.id)
        return told.question if told else next(iter(self._ledger.said[row.thread_id]), "")


_RUNS = """
SELECT id, thread_id, status, extract(epoch FROM created_at)::float8,
    extract(epoch FROM expires_at)::float8,
    extract(epoch FROM coalesce(completed_at, failed_at, cancelled_at))::float8,
    (SELECT count(*) FROM messages WHERE run_id = runs.id AND messages.status = 'completed'),
    (SELECT count(*) FROM run_steps WHERE run_id = runs.id AND run_steps.status = 'completed'
        AND type = 'message_creation'),
    EXISTS (SELECT FROM run_steps WHERE run_id = runs.id AND type = 'tool_calls'
        AND run_steps.status <> 'completed')
FROM runs WHERE created_at > to_timestamp(%s)
"""
