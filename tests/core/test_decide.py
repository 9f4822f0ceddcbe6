"""The order of the loop's thinking."""

from __future__ import annotations

from perfslo.core.decide import conclude, decide
from perfslo.core.memory import Memory
from perfslo.core.model import Change, ChangeResult
from tests.core.turns import NOW, SLOW, memory, observation, spec


def test_what_was_seen_is_absorbed_before_it_is_judged() -> None:
    decision = decide(spec(), Memory(), observation())
    assert decision.memory.time == NOW
    assert decision.plan is not None
    assert decision.plan.steps == ()


def test_the_guardrails_have_the_last_word() -> None:
    decision = decide(spec(minReplicas=4), memory(), observation())
    assert decision.plan is not None
    assert decision.plan.final_replicas == 4


def test_a_suspended_slo_learns_and_plans_nothing() -> None:
    decision = decide(spec(suspend=True), Memory(), observation(SLOW))
    assert decision.memory.time == NOW
    assert decision.diagnosis.slo_met is False
    assert decision.plan is None
    assert conclude(spec(suspend=True), decision, None) == (decision.memory, None)


def test_what_was_done_is_remembered() -> None:
    promise = spec(minReplicas=4)
    decision = decide(promise, memory(), observation())
    assert decision.plan is not None
    change = Change("d1", NOW, decision.plan.steps[0], ChangeResult.APPLIED, decision.plan.why)
    remembered, verdict = conclude(promise, decision, change)
    assert verdict is None
    assert remembered.order is not None
    assert remembered.order.wanted == 4
    assert [past.id for past in remembered.history] == ["d1"]
