"""Reports: what is added up, compared and concluded, on runs made by hand."""

from __future__ import annotations

import pytest

from perfslo.simulate.report import Comparison, bootstrap, interpolated, results
from tests.simulate.fakes import run


def compared(*runs: object) -> Comparison:
    return Comparison(results(runs))  # type: ignore[arg-type]


def test_a_run_becomes_numbers_beside_the_oracle() -> None:
    ours, _ = results([run("perfslo", bad=[0, 60, 100, 0, 0, 0]), run("oracle", bad=[0] * 6, replicas=8.0)])
    assert ours.bad_ratio == pytest.approx(160 / 6000)
    assert (ours.violation_minutes, ours.failed) == (2, False)
    assert (ours.replica_minutes, ours.oracle_replica_minutes, ours.oracle_failed) == (60.0, 48.0, False)
    assert (ours.worst_bad_ratio, ours.recovery_minutes, ours.decision_p99_seconds) == (0.1, 2, 0.002)


def test_without_an_oracle_nothing_is_said_of_it() -> None:
    (alone,) = results([run("perfslo"), run("oracle", seed=1)][:1])
    assert (alone.oracle_replica_minutes, alone.oracle_failed) == (None, None)


@pytest.mark.parametrize(
    ("bad", "minutes"),
    [
        ([0] * 8, 0),
        ([0, 60, 0, 0, 0, 0], 1),
        ([60, 0, 60, 0, 0, 0, 0], 3),  # two good minutes do not end it
        ([60, 0, 0, 0, 60, 60, 0, 0, 0], 2),
        ([0, 60, 60, 60], 3),
    ],
)
def test_recovery_lasts_until_three_good_minutes(bad: list[int], minutes: int) -> None:
    assert results([run("x", bad=bad)])[0].recovery_minutes == minutes


def test_minutes_with_hardly_a_request_are_not_the_worst() -> None:
    assert results([run("x", bad=[1] * 3, requests=10)])[0].worst_bad_ratio == 0.0


def test_only_what_all_have_met_is_compared() -> None:
    both = compared(run("a", seed=0), run("a", seed=1), run("b", seed=1, replicas=5.0))
    assert both.cells == [("made", 1)]
    assert both.ratio("a", "b").value == 2.0


def test_scenarios_where_the_oracle_fails_are_not_held_against_anybody() -> None:
    fair = compared(
        run("oracle", scenario="hard", bad=[900] * 10),
        run("oracle", scenario="hard", seed=1),
        run("oracle", scenario="easy"),
        run("a", scenario="hard", bad=[900] * 10),
        run("a", scenario="hard", seed=1),
        run("a", scenario="easy"),
    ).fair()
    assert fair.scenarios == ["easy"]
    assert fair.total("a").failed == 0


def test_the_cheapest_clean_setting_has_no_failed_run_anywhere() -> None:
    tried = compared(
        run("hpa-cpu=80", bad=[0] * 10, replicas=5.0),
        run("hpa-cpu=80", seed=1, bad=[90] * 10, replicas=5.0),
        run("hpa-cpu=60", replicas=7.0),
        run("hpa-cpu=60", seed=1, replicas=7.0),
        run("hpa-cpu=50", replicas=9.0),
        run("hpa-cpu=50", seed=1, replicas=9.0),
    )
    assert tried.families() == {"hpa-cpu": ["hpa-cpu=80", "hpa-cpu=60", "hpa-cpu=50"]}
    assert tried.cheapest_clean(tried.policies) == "hpa-cpu=60"
    assert tried.cheapest_clean(["hpa-cpu=80"]) is None


def test_totals_are_means_over_seeds_of_sums_over_scenarios() -> None:
    runs = [
        run("a", scenario=scenario, seed=seed, bad=[60, 0], replicas=10.0 + seed)
        for scenario in "xy"
        for seed in (0, 1)
    ]
    total = compared(*runs).total("a")
    assert (total.runs, total.failed, total.violation_minutes) == (4, 0, 2.0)
    assert total.replica_minutes == pytest.approx(2 * 2 * 10.5)
    assert total.bad_ratio == pytest.approx(0.03)


def test_the_interval_of_a_ratio_is_wide_when_seeds_disagree() -> None:
    same = bootstrap({("x", seed): (11.0, 10.0) for seed in range(5)})
    assert (same.value, same.low, same.high) == pytest.approx((1.1, 1.1, 1.1))
    pairs = {("x", seed): (10.0 + seed, 10.0) for seed in range(5)}
    wide = bootstrap(pairs)
    assert 1.0 <= wide.low < wide.value < wide.high <= 1.4
    assert bootstrap(pairs) == wide
    assert str(wide).startswith("1.20 (1.")
    assert str(bootstrap({("x", 0): (11.0, 10.0)})) == "1.10"
    with pytest.raises(ValueError, match="no run"):
        bootstrap({})


def test_costs_are_compared_at_equal_violations() -> None:
    points = [(10.0, 100.0), (20.0, 80.0), (15.0, 300.0)]
    assert (equal := interpolated(points, 15.0)) is not None
    assert (equal.replica_minutes, equal.how) == (90.0, "interpolated")
    assert (nearest := interpolated(points, 5.0)) is not None
    assert (nearest.replica_minutes, nearest.how) == (100.0, "nearest")
    assert (cheapest := interpolated(points, 50.0)) is not None
    assert cheapest.replica_minutes == 80.0
    assert interpolated([], 1.0) is None
