from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.rests import retry_after, until_reset


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5.0), ("0.5", 0.5), ("-3", 0.0), ("", None), ("soon", None)]
)
def test_retry_after_in_seconds(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}) == seconds


def test_retry_after_as_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 < (retry_after({"retry-after": later}) or 0) <= 90


@pytest.mark.parametrize(("second", "seconds"), [("09", 9.0), ("00", 0.0)])
def test_an_instant_is_one_of_the_model_servers_clock(second: str, seconds: float) -> None:
    headers = {"retry-after": f"Wed, 21 Oct 2015 07:28:{second} GMT"}
    assert retry_after({**headers, "date": "Wed, 21 Oct 2015 07:28:00 GMT"}) == seconds
    assert retry_after(headers) == 0


@pytest.mark.parametrize(
    ("remaining", "reset", "seconds"),
    [
        ("0", "6m0s", 360.0),
        ("0", "1.5s", 1.5),
        ("0", "20ms", 0.02),
        ("0", "1h2m3s", 3723.0),
        ("1", "6m0s", 0.0),
        ("0", "", 0.0),
        ("0", "tomorrow", 0.0),
        ("0", "6m nonsense", 0.0),
    ],
)
def test_used_up_requests_or_tokens_are_waited_for(
    remaining: str, reset: str, seconds: float
) -> None:
    for kind in ("requests", "tokens"):
        headers = {
            f"x-ratelimit-remaining-{kind}": remaining,
            f"x-ratelimit-reset-{kind}": reset,
        }
        assert until_reset(headers) == seconds
    assert until_reset({}) == 0.0
