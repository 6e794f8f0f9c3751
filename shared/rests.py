"""How long a model server wants to be left alone, by the headers of its answer."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(h|ms|m|s)", re.ASCII)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from either form of Retry-After (RFC 9110, 10.2.3). An instant is one of the
    server's clock, as its Date says it."""
    text = headers.get("retry-after", "")
    now = headers.get("date", format_datetime(datetime.now(UTC)))
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - parsedate_to_datetime(now)).total_seconds())
    except (ValueError, TypeError):
        return None


def until_reset(headers: Mapping[str, str]) -> float:
    """Seconds until what is used up is there again: of its requests or tokens none remain. 0 while
    there are some, and where the server says nothing. The headers are OpenAI's; many send them."""
    return max(
        _duration(headers.get(f"x-ratelimit-reset-{kind}", ""))
        if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0"
        else 0.0
        for kind in ("requests", "tokens")
    )


def _duration(text: str) -> float:
    """`6m0s`, `1.5s`, `20ms`; 0 for what is none."""
    parts = _DURATION.findall(text)
    whole = "".join(number + unit for number, unit in parts) == text.strip()
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if whole else 0.0
