import pytest

from api.limits import duration


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0s"),
        (0.0004, "1ms"),
        (0.02, "20ms"),
        (0.999, "999ms"),
        (0.9999, "1s"),
        (1.5, "1.5s"),
        (8.64, "8.64s"),
        (59.999, "59.999s"),
        (60, "1m0s"),
        (119.25, "1m59.25s"),
        (360, "6m0s"),
    ],
)
def test_a_duration_is_written_as_on_the_wire(seconds: float, written: str) -> None:
    assert duration(seconds) == written
