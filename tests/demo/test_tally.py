"""A second is judged by what was due in it: slow, failed and unanswered requests are over, unsent ones do not count."""

import pytest

from demo.load.rates import Segment
from demo.load.tally import Tally


def tally_of(*segments: Segment) -> Tally:
    return Tally(segments, threshold_seconds=0.2, timeout_seconds=10)


def answer(tally: Tally, numbers: range, latency: float = 0.05, *, segment: int = 0, succeeded: bool = True) -> None:
    for number in numbers:
        tally.add(segment, number, sent_seconds=number / 10, latency_seconds=latency, succeeded=succeeded)


def test_a_request_belongs_to_the_second_in_which_it_was_due() -> None:
    tally = tally_of(Segment(0, 2, 10), Segment(2, 1, 30))
    assert [second.due for second in tally.seconds] == [10, 10, 30]
    assert [second.rps for second in tally.seconds] == [10, 10, 30]
    answer(tally, range(10, 20), latency=3)
    assert [second.over(0.2) for second in tally.seconds] == [10, 10, 30], "unanswered ones are over as well"
    answer(tally, range(10))
    answer(tally, range(30), segment=1)
    assert [second.over(0.2) for second in tally.seconds] == [0, 10, 0]


@pytest.mark.parametrize(("latency", "over"), [(0.199, 0), (0.2, 0), (0.201, 10)])
def test_over_means_slower_than_the_threshold(latency: float, over: int) -> None:
    tally = tally_of(Segment(0, 1, 10))
    answer(tally, range(10), latency)
    assert tally.seconds[0].over(tally.threshold_seconds) == over


def test_a_fast_failure_is_over_and_has_the_latency_of_a_timeout() -> None:
    tally = tally_of(Segment(0, 1, 10))
    answer(tally, range(9))
    answer(tally, range(9, 10), latency=0.001, succeeded=False)
    line = tally.line(0, now_seconds=4, window_seconds=1)
    assert (line["errors"], line["over"], line["p50_ms"], line["p99_ms"]) == (1, 1, 50, 10000)


def test_a_pending_request_enters_percentiles_with_its_age() -> None:
    tally = tally_of(Segment(0, 1, 10))
    answer(tally, range(9))
    line = tally.line(0, now_seconds=4, window_seconds=1)
    assert (line["pending"], line["over"], line["p99_ms"]) == (1, 1, 3000)


def test_percentiles_and_ratio_are_of_the_window_and_counts_of_the_second() -> None:
    tally = tally_of(Segment(0, 4, 10))
    answer(tally, range(10), latency=5)
    answer(tally, range(10, 20), latency=1)
    answer(tally, range(20, 40))
    line = tally.line(2, now_seconds=8, window_seconds=2)
    assert (line["sent"], line["over"], line["over_ratio"], line["p95_ms"]) == (10, 0, 0.5, 1000)


def test_what_was_never_sent_is_reported_and_not_over() -> None:
    tally = tally_of(Segment(0, 2, 10))
    answer(tally, range(18))
    tally.finish(0)
    assert tally.summary()["sent"] == [10, 8]
    assert tally.summary()["over"] == [0, 0]
    assert tally.summary()["unsent"] == 2


def test_a_second_without_load_has_no_percentiles() -> None:
    line = tally_of(Segment(0, 3, 0)).line(1, now_seconds=5, window_seconds=1)
    assert (line["sent"], line["p95_ms"], line["over_ratio"]) == (0, None, None)


def test_the_generator_running_late_is_reported() -> None:
    tally = tally_of(Segment(0, 1, 10))
    tally.add(0, 3, sent_seconds=0.75, latency_seconds=0.05, succeeded=True)
    assert tally.summary()["late_ms"] == 450
