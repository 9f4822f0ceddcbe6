"""Rate files are read as they are meant, and a wrong one says what to write."""

import pytest

from demo.load import rates
from demo.load.rates import Segment


def test_steps_hold_until_the_next_row() -> None:
    assert rates.parse("t_seconds,rps\n0,10\n60,30\n90,0\n") == [Segment(0, 60, 10), Segment(60, 30, 30)]


def test_comments_and_empty_lines_are_skipped() -> None:
    assert rates.parse("# three times\n\nt_seconds,rps\n0,1\n\n# end\n5,0\n") == [Segment(0, 5, 1)]


def test_a_pause_is_a_segment_without_requests() -> None:
    pause = rates.parse("t_seconds,rps\n0,1\n5,0\n10,1\n15,0\n")[1]
    assert pause == Segment(5, 5, 0)
    assert list(pause.planned_seconds()) == []


def test_scale_multiplies_rates() -> None:
    assert rates.parse("t_seconds,rps\n0,10\n4,0\n", scale=0.333)[0].rps == 3.33


def test_requests_are_evenly_spaced_inside_the_segment() -> None:
    assert list(Segment(10, 2, 2).planned_seconds()) == [10, 10.5, 11, 11.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "starts with the line t_seconds,rps"),
        ("0,10\n60,0\n", "starts with the line t_seconds,rps"),
        ("t_seconds,rps\n", "first row at second 0"),
        ("t_seconds,rps\n5,10\n60,0\n", "first row at second 0"),
        ("t_seconds,rps\n0,10\n60,20\n", "last row with rate 0"),
        ("t_seconds,rps\n0,10\n60,20\n60,0\n", "second 60 must come after second 60"),
        ("t_seconds,rps\n0,ten\n60,0\n", "'0,ten' is not a row of two numbers"),
        ("t_seconds,rps\n0,10,1\n60,0\n", "'0,10,1' is not a row of two numbers"),
        ("t_seconds,rps\n0,-1\n60,0\n", "must be finite and not negative"),
        ("t_seconds,rps\n0,nan\n60,0\n", "must be finite and not negative"),
    ],
)
def test_a_wrong_file_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rates.parse(text)
