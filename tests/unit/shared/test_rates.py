"""When a rate has room again, by the weights of its two windows."""

from hypothesis import given
from hypothesis import strategies as st

from shared.rates import Windows, seconds_until_free, weighed

LIMIT = st.integers(1, 10_000)


def windows(before: int, now: int, left: float) -> Windows:
    """These counts, `left` seconds before the window that runs becomes the one before."""
    return before, left if before else 0.0, now, left + 60 if now else 0.0


def after(seconds: float, then: Windows) -> Windows:
    """The same windows later, if nothing was taken."""
    before, before_left, now, now_left = then
    if now and now_left - seconds < 60:
        return now, max(0.0, now_left - seconds), 0, 0.0
    return before, max(0.0, before_left - seconds), now, max(0.0, now_left - seconds)


@given(LIMIT, st.data(), st.floats(0.001, 60))
def test_after_the_wait_there_is_room_and_not_long_before(
    limit: int, data: st.DataObject, left: float
) -> None:
    before, now, cost = (data.draw(st.integers(least, limit)) for least in (0, 0, 1))
    then = windows(before, now, left)
    wait = seconds_until_free(then, cost, limit)
    assert 0 <= wait <= 120
    assert weighed(after(wait + 0.001, then)) + cost <= limit
    if wait > 0.01:
        assert weighed(after(wait - 0.01, then)) + cost > limit


def test_what_fits_need_not_wait() -> None:
    assert seconds_until_free((0, 0.0, 0, 0.0), 5, 5) == 0
    assert seconds_until_free((0, 0.0, 4, 90.0), 1, 5) == 0
    assert seconds_until_free((60, 30.0, 29, 90.0), 1, 60) == 0


def test_a_full_window_frees_its_places_one_after_the_other() -> None:
    full = windows(0, 60, 20.0)
    assert seconds_until_free(full, 1, 60) == 20.0
    assert seconds_until_free(full, 2, 60) == 21.0
    assert seconds_until_free(full, 60, 60) == 79.0
