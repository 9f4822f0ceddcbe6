"""What benchmarks on a real cluster make of what they saw."""

from __future__ import annotations

import pytest

from bench import real
from bench.cluster.play import THRESHOLD_SECONDS, Look, Play, mean_over
from bench.real import Answer
from perfslo.simulate.model import Load


def looks(*desired: int) -> tuple[Look, ...]:
    """One a minute, of pods that are all ready and of one more that is terminating."""
    return tuple(Look(60.0 * minute, number, number, number + 1) for minute, number in enumerate(desired))


def answers(minute: int, good: int, bad: int) -> list[Answer]:
    return [Answer(60.0 * minute + 1, 0.1, failed=False)] * good + [
        Answer(60.0 * minute + 2, 2 * THRESHOLD_SECONDS, failed=False)
    ] * bad


def test_a_play_is_judged_by_minutes_of_enough_requests() -> None:
    play = Play((*answers(0, 90, 10), *answers(1, 99, 1), *answers(2, 5, 5)), looks(2, 3, 3), ())
    figures = play.figures()
    assert figures.requests == 210
    assert figures.bad_ratio == pytest.approx(16 / 210)
    assert figures.violation_minutes == 1, "the last one has too few requests"
    assert figures.replica_minutes == pytest.approx(3 + 4 + 4), "those that are terminating are paid for"
    assert figures.actions == 1


def test_a_request_that_failed_counts_as_the_timeout() -> None:
    play = Play((Answer(1.0, 0.01, failed=True),), looks(2), ())
    (minute,) = play.minutes()
    assert (minute.bad, minute.percentile_seconds) == (1, real.TIMEOUT_SECONDS)


def test_each_value_holds_until_the_next_look() -> None:
    assert mean_over([(10.0, 2.0), (40.0, 4.0)], 0.0, 60.0) == pytest.approx((40 * 2 + 20 * 4) / 60)
    assert mean_over([(10.0, 2.0), (40.0, 4.0)], 60.0, 120.0) == 4.0


def test_arrivals_follow_the_load() -> None:
    at = list(real.arrivals(Load((0.0, 100.0, 100.0, 200.0), (50.0, 50.0, 10.0, 10.0)), seed=1))
    assert at == sorted(at)
    early = sum(time < 100 for time in at)
    assert early == pytest.approx(5000, abs=300)
    assert len(at) - early == pytest.approx(1000, abs=130)
    assert at == list(real.arrivals(Load((0.0, 100.0, 100.0, 200.0), (50.0, 50.0, 10.0, 10.0)), seed=1))


def test_what_was_counted_before_is_not_counted_again() -> None:
    before, after = {0.1: 5, float("inf"): 9}, {0.1: 7, float("inf"): 19}
    seen = real.histogram(before, after)
    assert seen.upper_bounds_seconds == (0.1, float("inf"))
    assert seen.counts == (2.0, 10.0)
