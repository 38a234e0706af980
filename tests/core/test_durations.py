import pytest

from kademlua.core.durations import format_duration, parse_duration, readable_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(5, 5), (0.5, 0.5), ("100ms", 0.1), ("1.5s", 1.5), ("10m", 600), ("2 h", 7200), ("1d", 86400)],
)
def test_durations_are_parsed(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "m", "-1s", "1 week", -1, True, None, float("nan"), 1e9]
)
def test_invalid_durations_are_refused(text):
    with pytest.raises(ValueError, match="must be"):
        parse_duration(text)


@pytest.mark.parametrize("seconds", [0, 0.05, 0.1, 1, 90, 600, 3600, 5400, 86400])
def test_formatted_durations_parse_to_the_same_value(seconds):
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)


def test_durations_for_people_have_two_units():
    texts = {0.4: "0s", 59: "59s", 61: "1m 1s", 3600: "1h", 86_399: "23h 59m", 90_061: "1d 1h"}
    assert {seconds: readable_duration(seconds) for seconds in texts} == texts
