"""One lever through the whole loop: diagnosis, plan, step, experiment, verdict, and what follows from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfslo.core import codec, experiment
from perfslo.core.model import Bottleneck, Missing, Outcome, Value
from perfslo.core.trials import Experiment, Tally
from tests.core.stress import Stress, deeds, promise, tier, verdicts

DB = {"signals": [{"name": "db", "kind": "DependencyLatency", "ref": "pg-main"}]}
REDIS = ("cache", "redis")


def service(on: float, off: float = 0.4, **tier_changes: str) -> Stress:
    """One whose database is slow from when `db` says so: then these shares are slow with the cache on and off."""

    def slow(stress: Stress) -> float:
        db = stress.signals["db"]
        if not isinstance(db, Value) or db.value < 0.1:
            return 0.01
        return on if stress.is_on(*REDIS) else off

    spec = promise({"cache": {"tiers": [tier(**tier_changes)]}}, metrics=DB)
    stress = Stress(spec, slow, values={REDIS: "off"}, signals={"db": Value(0.02, 5.0)})
    assert deeds(stress.turns(900)) == [], "nothing is the matter"
    stress.signals["db"] = Value(0.2, 5.0)
    return stress


def test_a_cache_in_front_of_a_slow_database_is_turned_on_and_found_to_help() -> None:
    stress = service(on=0.02)
    happened = stress.turns(600)
    assert deeds(happened) == ["cache redis off->on"]
    assert happened[0].decision.diagnosis.bottleneck == Bottleneck.DEPENDENCY_BOUND
    assert "db takes 200ms (usually 20ms)" in happened[0].decision.diagnosis.why
    assert stress.replicas == 4, "more pods would wait for the same database, and pods that wait are not idle"
    assert verdicts(happened) == [Outcome.IMPROVED]
    pulled = next(one for one in happened if one.did)
    assert pulled.decision.plan
    assert pulled.decision.plan.prediction
    assert pulled.decision.plan.prediction.relief == pytest.approx(0.5)
    assert pulled.decision.plan.alternatives[0].startswith("replicas: hold")
    effect = stress.memory.trials.effect(REDIS, Bottleneck.DEPENDENCY_BOUND)
    assert effect
    assert effect.relief > 1.0, "next time more is expected of it"


def test_what_makes_things_worse_is_undone_within_three_cycles_and_barred() -> None:
    stress = service(on=0.95)
    happened = stress.turns(900)
    assert deeds(happened) == ["cache redis off->on", "cache redis on->off"]
    assert verdicts(happened) == [Outcome.WORSE]
    worse = next(n for n, one in enumerate(happened) if one.verdict)
    undone = next(n for n, one in enumerate(happened) if one.did == "cache redis on->off")
    assert undone - worse <= 3
    assert any(
        "it made things worse" in words
        for words in (happened[-1].decision.plan.alternatives if happened[-1].decision.plan else ())
    )
    assert stress.memory.trials.pending is None
    assert stress.memory.trials.held == ()


def test_what_has_no_effect_twice_is_left_alone_for_a_while() -> None:
    stress = service(on=0.4)
    happened = stress.turns(3600)
    assert deeds(happened) == ["cache redis off->on", "cache redis on->off"] * 2
    assert verdicts(happened) == [Outcome.NO_EFFECT] * 2
    again = stress.turns(3600)
    assert deeds(again)[:1] == ["cache redis off->on"], "not for ever"


def test_a_lever_that_pods_do_not_follow_is_said_to_be_so_and_put_back() -> None:
    stress = service(on=0.02, confirm="tier-seen")
    stress.named["tier-seen"] = Value(0.0, 5.0)
    happened = stress.turns(300)
    assert deeds(happened) == ["cache redis off->on", "cache redis on->off"]
    assert verdicts(happened) == [Outcome.INCONCLUSIVE]
    verdict = next(one.verdict for one in happened if one.verdict)
    assert "the pods do not follow" in verdict.why
    assert "subPath" in verdict.why
    assert deeds(stress.turns(1800)) == [], "it would not be followed the next time either"


def test_what_pods_confirm_is_judged_from_then_on() -> None:
    stress = service(on=0.02, confirm="tier-seen")
    stress.named["tier-seen"] = Value(0.0, 5.0)
    while not stress.turn().did:
        pass
    stress.named["tier-seen"] = Value(0.95, 5.0)
    happened = stress.turns(180)
    assert verdicts(happened) == [Outcome.IMPROVED], "a warm-up of 60 s, a window, and little more"


def test_what_helps_is_seen_at_once_where_nothing_says_that_pods_follow() -> None:
    stress = service(on=0.02)
    while not stress.turn().did:
        pass
    assert verdicts(stress.turns(90)) == [Outcome.IMPROVED], "long before pods must follow, and it must be warm"


def test_with_few_requests_what_seems_to_have_helped_stays() -> None:
    stress = service(on=0.02, off=0.1)
    stress.rate = 1.9
    happened = stress.turns(1500)
    assert [step for step in deeds(happened) if step.startswith("cache")] == ["cache redis off->on"]
    assert verdicts(happened) == [Outcome.INCONCLUSIVE], "a dozen slow requests prove nothing"
    assert "which may be chance" in next(one.verdict.why for one in happened if one.verdict)


def test_what_gets_worse_before_pods_follow_does_so_by_itself() -> None:
    stress = service(on=0.02, confirm="tier-seen")
    stress.named["tier-seen"] = Value(0.0, 5.0)
    while not stress.turn().did:
        pass
    stress.slow = lambda now: 0.9 if now.named["tier-seen"] == Value(0.0, 5.0) else 0.02
    assert verdicts(stress.turns(60)) == []
    stress.named["tier-seen"] = Value(1.0, 5.0)
    assert verdicts(stress.turns(240)) == [Outcome.IMPROVED]


def test_what_harms_the_few_pods_that_follow_is_put_back_before_the_others_do() -> None:
    stress = service(on=0.9, confirm="tier-seen")
    stress.named["tier-seen"] = Value(0.3, 5.0)
    while not stress.turn().did:
        pass
    assert verdicts(stress.turns(75)) == [Outcome.WORSE]


def queueing(change: float, swing: float = 0.0) -> Stress:
    """Requests queue up while the database is slow; two minutes after the lever is pulled, pods follow it.

    The share of slow requests is that of a full queue, which grows by 0.05 a cycle, and by `change` once pods follow;
    when it is full, each second cycle is by `swing` below.
    """
    full = [0.0]

    def slow(stress: Stress) -> float:
        db, follow = stress.signals["db"], stress.named["tier-seen"] == Value(1.0, 5.0)
        troubled = isinstance(db, Value) and db.value > 0.1
        most = 0.9 - swing * (len(full) % 2)
        full.append(min(most, max(0.01, full[-1] + (change if follow else 0.05 if troubled else -0.1))))
        stress.in_flight = Value(stress.rate * (0.1 * (1.0 - full[-1]) + 0.75 * full[-1]), 5.0)
        return full[-1]

    spec = promise({"cache": {"tiers": [tier(confirm="tier-seen")]}}, metrics=DB, maxReplicas=4)
    stress = Stress(spec, slow, rate=2000.0, values={REDIS: "off"}, takes_seconds=1.0)
    stress.signals["db"] = Value(0.02, 5.0)
    stress.named["tier-seen"] = Value(0.0, 5.0)
    stress.turns(900)
    stress.signals["db"] = Value(0.2, 5.0)
    while stress.turn().did != "cache redis off->on":
        pass
    stress.turns(120)
    stress.named["tier-seen"] = Value(1.0, 5.0)
    return stress


def test_a_queue_from_before_that_drains_is_no_harm() -> None:
    stress = queueing(change=-0.07)
    begun = stress.memory.trials.pending
    assert begun
    happened = stress.turns(60)
    assert sum(stress.shares[-4:]) / 4 > 2.0 * begun.before.bad / begun.before.requests, "what had queued is slow"
    happened += stress.turns(600)
    assert verdicts(happened) == [Outcome.IMPROVED]
    assert deeds(happened) == []


@pytest.mark.parametrize("swing", [0.0, 0.3])
def test_what_harms_while_a_queue_stands_is_undone_all_the_same(swing: float) -> None:
    stress = queueing(change=0.2, swing=swing)
    happened = [stress.turn()]
    while not deeds(happened):
        happened.append(stress.turn())
    assert verdicts(happened) == [Outcome.WORSE]
    assert deeds(happened) == ["cache redis on->off"]
    worse = next(n for n, one in enumerate(happened) if one.verdict)
    assert len(happened) - 1 - worse <= 3
    assert worse <= experiment.DRAINS_UNITS + 4 + 3, "a window after the longest wait, and as long as the test takes"


def test_what_harms_where_no_queue_drained_is_undone_at_once() -> None:
    """As many wait for the database all the time, and twice as many once the lever is pulled."""

    def slow(stress: Stress) -> float:
        db = stress.signals["db"]
        troubled = isinstance(db, Value) and db.value > 0.1
        harmed = [share for share in stress.shares if share > 0.5]
        stress.in_flight = Value(stress.rate * (0.4 if troubled else 0.1) + 10.0 * min(4, len(harmed)), 5.0)
        return 0.55 if stress.is_on(*REDIS) else 0.25 if troubled else 0.01

    spec = promise({"cache": {"tiers": [tier()]}}, metrics=DB, maxReplicas=4)
    stress = Stress(spec, slow, values={REDIS: "off"}, signals={"db": Value(0.02, 5.0)}, takes_seconds=1.0)
    stress.turns(900)
    stress.signals["db"] = Value(0.2, 5.0)
    while stress.turn().did != "cache redis off->on":
        pass
    happened = [stress.turn()]
    while not deeds(happened):
        happened.append(stress.turn())
    assert verdicts(happened) == [Outcome.WORSE]
    assert deeds(happened) == ["cache redis on->off"]
    assert len(happened) <= 6, "a short window, and as long as the test takes"


def test_a_queue_that_stood_still_and_drains_is_no_harm() -> None:
    """Some requests wait for what is slow until they give up; those that were waiting are slow, but answered now."""
    drains = iter([(750.0, 0.07), (390.0, 0.47), (60.0, 0.2)])

    def slow(stress: Stress) -> float:
        db = stress.signals["db"]
        waiting, share = (756.0, 0.07) if isinstance(db, Value) and db.value > 0.1 else (20.0, 0.01)
        if stress.is_on(*REDIS):
            waiting, share = next(drains, (20.0, 0.01))
        stress.in_flight = Value(waiting, 5.0)
        return share

    spec = promise({"cache": {"tiers": [tier()]}}, metrics=DB, maxReplicas=4)
    stress = Stress(spec, slow, rate=400.0, values={REDIS: "off"}, signals={"db": Value(0.02, 5.0)}, takes_seconds=1.0)
    stress.turns(900)
    stress.signals["db"] = Value(0.2, 5.0)
    happened = stress.turns(600)
    assert deeds(happened) == ["cache redis off->on"]
    assert verdicts(happened) == [Outcome.IMPROVED]


def test_one_that_the_slo_names_no_more_holds_up_nothing() -> None:
    stress = service(on=0.9)
    while not stress.turn().did:
        pass
    assert stress.memory.trials.pending
    stress.spec = promise({"cache": {"tiers": [tier("memcached")]}})
    stress.turn()
    assert stress.memory.trials.pending is None


def test_replicas_added_for_safety_leave_it_undecided_and_on() -> None:
    stress = service(on=0.02)
    while not stress.turn().did:
        pass
    stress.replicas += 1
    happened = stress.turns(30)
    assert verdicts(happened) == [Outcome.INCONCLUSIVE]
    assert "replicas were added" in next(one.verdict.why for one in happened if one.verdict)
    assert stress.is_on(*REDIS)


def test_somebody_elses_hand_is_not_fought() -> None:
    stress = service(on=0.02)
    while not stress.turn().did:
        pass
    stress.turns(30)
    stress.values[REDIS] = "off"
    happened = stress.turns(15)
    assert verdicts(happened) == [Outcome.INCONCLUSIVE]
    assert stress.memory.trials.pending is None


def test_an_experiment_survives_a_restart() -> None:
    stress = service(on=0.95)
    while not stress.turn().did:
        pass
    stress.memory = codec.decode(codec.encode(stress.memory))
    assert stress.memory.trials.pending
    happened = stress.turns(300)
    assert deeds(happened) == ["cache redis on->off"]


def test_while_metrics_are_unknown_nothing_is_judged_or_put_back() -> None:
    stress = service(on=0.95)
    while not stress.turn().verdict:
        pass
    stress.known = False
    assert deeds(stress.turns(300)) == []
    stress.known = True
    assert deeds(stress.turns(30)) == ["cache redis on->off"]


def test_it_is_given_back_once_the_service_would_stay_calm_without_it() -> None:
    stress = service(on=0.02)
    stress.turns(600)
    stress.signals["db"] = Value(0.02, 5.0)
    held = stress.memory.trials.holding(REDIS)
    assert held
    assert held.cold
    stress.rate = 0.7 * held.cold * stress.replicas
    happened = stress.turns(5400)
    assert stress.is_on(*REDIS)
    plan = happened[-1].decision.plan
    assert plan
    assert "too much" in plan.alternatives[0]
    stress.rate = 0.5 * held.cold * 2
    assert "cache redis on->off" in deeds(stress.turns(900))
    assert stress.memory.trials.held == ()


def test_one_that_is_missed_comes_back_and_stays_longer() -> None:
    stress = service(on=0.02)
    stress.turns(600)
    stress.signals["db"] = Value(0.02, 5.0)
    stress.slow = lambda now: 0.01 if now.is_on(*REDIS) else 0.5
    stress.rate = 20.0
    happened = stress.turns(7200)
    switched = [n for n, one in enumerate(happened) if one.did.startswith("cache")]
    assert [happened[n].did for n in switched] == ["cache redis on->off", "cache redis off->on"] * 2
    assert [one.verdict.outcome for one in happened if one.verdict and "cache" in one.verdict.why] == ["Worse"] * 2
    assert switched[1] - switched[0] <= 8, "at once"
    assert switched[2] - switched[1] >= 239, "an hour, where it was half of one"


def test_unknown_flags_and_replicas_that_can_mend_it_keep_levers_alone() -> None:
    stress = service(on=0.02)
    stress.values[REDIS] = Missing("NotManaged", "label it")
    happened = stress.turns(600)
    assert deeds(happened) == []
    plan = happened[-1].decision.plan
    assert plan
    assert plan.alternatives == ("cache redis: how it is set is not known (label it)",)
    assert verdicts(happened) == []


def test_without_the_lever_among_those_enabled_nothing_is_switched() -> None:
    stress = service(on=0.02)
    stress.levers = ("replicas",)
    assert deeds(stress.turns(600)) == []


def pending(before: Tally, after: Tally) -> Experiment:
    seen = Experiment("d", 0.0, "cache", "redis", "off", "on", "Saturated", "p95", 10.0, before, 4)
    return replace(seen, after=after)


@pytest.mark.parametrize(
    ("bad", "helped", "hurt"),
    [(20.0, True, False), (200.0, False, False), (500.0, False, True)],
)
def test_the_test_tells_what_is_far_from_chance(bad: float, helped: bool, hurt: bool) -> None:
    one = pending(Tally(2000, 200, 2000, 2000), Tally(2000, bad, 2000, 2000))
    assert (experiment.likelihood(one, one.after, experiment.HELPED) >= experiment.SURE) == helped
    assert (experiment.likelihood(one, one.after, experiment.HURT) >= experiment.SURE) == hurt


def test_more_load_does_not_make_a_lever_look_bad_nor_good() -> None:
    # Half as much load again: three times as many slow requests were to be expected.
    one = pending(Tally(2000, 200, 2000, 2000), Tally(3000, 900, 3000, 9000))
    assert experiment.likelihood(one, one.after, experiment.HURT) < 0
    assert experiment.likelihood(one, one.after, experiment.HELPED) < 0
