"""Cache tiers one after another, the CDN, and what forbids them."""

from __future__ import annotations

from typing import Any

import pytest

from perfslo.core.model import Bottleneck, Knob, Missing, Outcome, Value
from tests.core.stress import Stress, deeds, promise, tier

SIGNALS = {"signals": [{"name": "db", "kind": "DependencyLatency", "ref": "pg-main"}]}
SLOW, QUICK = Value(0.2, 5.0), Value(0.02, 5.0)


def _knob(name: str) -> Knob:
    lever, _, subject = name.partition("/")
    return lever, subject


def stressed(levers: dict[str, Any], relief: dict[str, float], **changes: Any) -> Stress:
    """A database that becomes slow: each lever that is on leaves this part of the slow requests."""
    knobs: dict[Knob, float] = {_knob(name): part for name, part in relief.items()}

    def slow(stress: Stress) -> float:
        if stress.signals["db"] != SLOW:
            return 0.01
        share = 0.4
        for knob, part in knobs.items():
            share *= part if stress.is_on(*knob) else 1.0
        return min(1.0, share)

    stress = Stress(promise(levers, metrics=SIGNALS, **changes), slow, signals={"db": QUICK})
    stress.values = dict.fromkeys(knobs, "off")
    stress.turns(600)
    stress.signals = {"db": SLOW}
    return stress


CDN = {"flag": {"configMap": "shop", "key": "CDN", "onValue": "on", "offValue": "off"}, "warmupSeconds": 60}


def test_tiers_are_turned_on_one_at_a_time_in_their_order() -> None:
    stress = stressed({"cache": {"tiers": [tier("near"), tier("redis")]}}, {"cache/near": 0.5, "cache/redis": 0.1})
    happened = stress.turns(1200)
    assert deeds(happened) == ["cache near off->on", "cache redis off->on"]
    first, second = (n for n, one in enumerate(happened) if one.did)
    judged = next(n for n, one in enumerate(happened) if one.verdict)
    assert first < judged < second, "the second is tried once it is known what the first brought"


def test_a_barred_tier_does_not_bar_those_after_it() -> None:
    stress = stressed({"cache": {"tiers": [tier("near"), tier("redis")]}}, {"cache/near": 2.4, "cache/redis": 0.1})
    assert deeds(stress.turns(1200)) == ["cache near off->on", "cache near on->off", "cache redis off->on"]


def test_the_cheaper_of_two_that_promise_alike_is_tried_first_and_what_was_learnt_counts() -> None:
    levers = {"cache": {"tiers": [tier("redis", hourlyCost="0.5")]}, "cdn": {**CDN, "hourlyCost": "0.1"}}
    stress = stressed(levers, {"cache/redis": 0.1, "cdn": 0.9})
    assert deeds(stress.turns(3600))[:3] == ["cdn off->on", "cdn on->off", "cdn off->on"], "the cheap one, twice"
    stress = stressed(levers, {"cache/redis": 0.1, "cdn": 3.0})
    happened = stress.turns(900)
    assert deeds(happened) == ["cdn off->on", "cdn on->off", "cache redis off->on"], "it made things worse"


def test_no_more_than_the_cap_is_spent() -> None:
    cost = {"replicaHourly": "0.1", "maxHourly": "0.5"}
    dear = {"cache": {"tiers": [tier("redis", hourlyCost="0.2")]}}
    stress = stressed(dear, {"cache/redis": 0.1}, cost=cost)
    happened = stress.turns(600)
    assert deeds(happened) == []
    plan = happened[-1].decision.plan
    assert plan
    assert "it would cost 0.60 an hour, of cost.maxHourly 0.5" in plan.alternatives[0]


def test_in_mode_recommend_it_is_said_and_not_done_and_does_not_stand_in_the_way() -> None:
    levers = {"cache": {"mode": "Recommend", "tiers": [tier()]}, "cdn": CDN}
    stress = stressed(levers, {"cache/redis": 0.1, "cdn": 0.1})
    assert deeds(stress.turns(300)) == ["cdn off->on"]
    alone = stressed({"cache": {"mode": "Recommend", "tiers": [tier()]}}, {"cache/redis": 0.1})
    happened = alone.turns(300)
    assert deeds(happened) == []
    assert any(one.change for one in happened), "it is recommended"
    assert alone.memory.trials.pending is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("on", "it is on already"),
        ("maybe", "neither on nor off"),
        (Missing("ConfigMapMissing", "create it"), "create it"),
    ],
)
def test_what_is_not_off_is_not_turned_on(value: str | Missing, words: str) -> None:
    stress = stressed({"cache": {"tiers": [tier()]}}, {"cache/redis": 0.1})
    stress.slow = lambda now: 0.4
    stress.values["cache", "redis"] = value
    happened = stress.turns(600)
    assert deeds(happened) == []
    plan = happened[-1].decision.plan
    assert plan
    assert words in plan.alternatives[0]


def test_a_tier_of_its_own_workload_is_scaled_from_nothing() -> None:
    edge = {
        "name": "edge",
        "workload": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-edge"},
            "onReplicas": 2,
        },
        "warmupSeconds": 60,
    }
    stress = stressed({"cache": {"tiers": [edge]}}, {})
    stress.workloads["cache", "edge"] = 0
    stress.slow = lambda now: 0.02 if now.workloads["cache", "edge"] else 0.4
    happened = stress.turns(600)
    assert deeds(happened) == ["cache edge 0->2"]
    assert [one.verdict.outcome.value for one in happened if one.verdict] == ["Improved"]


def test_saturation_is_for_replicas_until_there_are_no_more() -> None:
    stress = stressed({"cache": {"tiers": [tier()]}}, {"cache/redis": 0.1})
    stress.signals = {"db": QUICK}
    stress.slow = lambda now: (
        min(1.0, 0.3 * (now.rate / now.replicas / 25.0)) * (0.1 if now.is_on("cache", "redis") else 1)
    )
    stress.rate = 150.0
    happened = stress.turns(1800)
    done = deeds(happened)
    assert done[0].startswith("replicas")
    assert "cache redis off->on" in done
    assert stress.replicas == 10 or happened[-1].decision.diagnosis.bottleneck != Bottleneck.SATURATED


def test_a_hook_turns_a_cdn_on_as_a_flag_does() -> None:
    stress = stressed({"cdn": {"hook": "checkout-cdn", "warmupSeconds": 60}}, {"cdn": 0.05})
    happened = stress.turns(1200)
    assert deeds(happened) == ["cdn off->on"]
    assert [one.verdict.outcome for one in happened if one.verdict] == [Outcome.IMPROVED]


@pytest.mark.parametrize("hits", [None, Value(0.6, 5.0)])
def test_requests_that_a_cdn_takes_away_do_not_hide_that_it_helped(hits: Value | None) -> None:
    stress = stressed({"cdn": {**CDN, **({"hitRatio": "hits"} if hits else {})}}, {"cdn": 0.05})
    slow = stress.slow

    def fewer(now: Stress) -> float:
        now.rate = 40.0 if now.is_on("cdn") else 100.0
        if hits and now.is_on("cdn"):
            now.named["hits"] = hits
        return slow(now)

    stress.slow = fewer
    happened = stress.turns(900)
    assert [one for one in deeds(happened) if one.startswith("cdn")] == ["cdn off->on"]
    assert [one.verdict.outcome for one in happened if one.verdict and one.verdict.lever == "cdn"] == [Outcome.IMPROVED]


def test_a_cdn_gets_no_credit_for_requests_that_come_no_more() -> None:
    stress = stressed({"cdn": {**CDN, "hitRatio": "hits"}}, {"cdn": 0.05})
    stress.named["hits"] = Value(0.0, 5.0)
    slow = stress.slow

    def fewer(now: Stress) -> float:
        now.rate = 40.0 if now.is_on("cdn") else 100.0
        return slow(now)

    stress.slow = fewer
    happened = stress.turns(1200)
    verdicts = [one.verdict for one in happened if one.verdict and one.verdict.lever == "cdn"]
    assert [one.outcome for one in verdicts] == [Outcome.INCONCLUSIVE]
    assert "too few requests at a like load" in verdicts[0].why
