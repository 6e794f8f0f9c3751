import asyncio
from dataclasses import replace

from cli.ask.answers import Answer
from cli.ask.progress import Rate, State, amount, duration, head, words
from cli.ask.work import Places

STATE = State(
    total=100_000, done=9_345, failed=3, tokens=1_234_567, in_flight=64, trouble=None, waited=0
)


def test_the_line_says_how_far_how_fast_and_how_long() -> None:
    assert head(STATE) == "  9,345/100,000   9 %"
    assert words(STATE, 312.4) == "312/s  4:50 left  3 failed  64 in flight  1.2M tokens"
    assert words(replace(STATE, failed=0, tokens=0), 0.0) == "0.0/s  64 in flight"


def test_the_line_says_what_is_waited_for() -> None:
    away = replace(STATE, trouble="the server answers 503", waited=75.0)
    assert words(away, 1.0).startswith("waiting 1:15: the server answers 503  3 failed")
    assert "waiting" not in words(replace(away, waited=0.5), 1.0)


def test_the_rate_is_that_of_late() -> None:
    rate = Rate()
    assert rate.of(1000, 0.0) == 0.0
    assert rate.of(1100, 10.0) == 10.0
    assert rate.of(1100, 60.0) == 0.0
    assert rate.of(1500, 70.0) == 40.0


def test_numbers_are_short() -> None:
    assert [duration(one) for one in (7.4, 281, 3723)] == ["7 s", "4:41", "1:02:03"]
    assert [amount(one) for one in (940, 12_300, 2 * 10**9)] == ["940", "12.3k", "2.0G"]


def test_in_order_nobody_runs_further_ahead_than_may_be_held_back() -> None:
    def answer(line: int) -> Answer:
        return Answer(custom_id=None, line=line, status="completed")

    async def play() -> None:
        places = Places(3)
        for place in range(3):
            await places.wait_for(place)
        fourth = asyncio.create_task(places.wait_for(3))
        assert places.in_turn(1, answer(1)) == []
        assert places.in_turn(2, answer(2)) == []
        assert (await asyncio.wait([fourth], timeout=0.05))[0] == set()
        assert places.in_turn(0, answer(0)) == [answer(0), answer(1), answer(2)]
        await asyncio.wait_for(fourth, 5)

    asyncio.run(play())
