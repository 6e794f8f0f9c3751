"""Every trick on every route, against a real API: refused in the wire's envelope, or closed; never
a server's error, never a trace, never a hang. `python -m tests.hostile` prints the table."""

from pathlib import Path

from shared.db import Database
from shared.settings import Settings
from tests.hostile.play import play, table


def test_no_trick_on_any_route_is_answered_by_more_than_a_refusal(
    settings: Settings,
    database: Database,
    tmp_path: Path,
) -> None:
    played = play(settings, tmp_path)
    assert len(played) > 1000
    assert [str(one) for one in played if one.outcome.flaw] == []
    assert "flaws" in table(played)
