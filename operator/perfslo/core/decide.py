"""The loop's own thinking, between measuring and acting, and after acting: the same for an operator and a simulation.

measure.observe() -> decide() -> (somebody acts) -> conclude()
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from dataclasses import field

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import backends, experiment, guardrails, identify, iterate, members, optimize, trust, validate
from perfslo.core.backends import Decided
from perfslo.core.frozen import dataclass, replace
from perfslo.core.levers.traffic import Shift
from perfslo.core.memory import Memory
from perfslo.core.model import Change, ChangeResult, Diagnosis, Observation, Plan, Verdict
from perfslo.core.steps import Scale, Weigh
from perfslo.core.weights import Move


@dataclass(frozen=True, slots=True)
class Decision:
    """What was made of an observation."""

    observation: Observation
    memory: Memory
    """That has absorbed it."""
    diagnosis: Diagnosis
    plan: Plan | None
    """None while the SLO is suspended."""
    parts: Mapping[str, Decided] = field(default_factory=dict)
    """What each backend with a workload of its own came to."""
    shift: Shift | None = None
    """How weights between these should move."""


def decide(
    spec: PerformanceSLOSpec,
    memory: Memory,
    observation: Observation,
    held: Set[str] = frozenset(),
    levers: Collection[str] = ("replicas",),
) -> Decision:
    """Learn from what was seen, say what is the matter, and plan what to do about it, within all limits.

    `held`: levers that somebody else moves (see `knobs.lever_key`). `levers`: those that may be pulled.
    """
    if observation.backends:
        return _of_backends(spec, memory, observation, held, levers)
    memory = iterate.absorb(spec, memory, observation)
    diagnosis = identify.diagnose(spec, memory, observation)
    if spec.suspend:
        return Decision(observation, memory, diagnosis, None)
    plan = optimize.plan(spec, memory, observation, diagnosis)
    plan = guardrails.guard(spec, memory, observation, diagnosis, plan)
    plan = optimize.intervene(spec, memory, observation, diagnosis, plan, levers, held)
    return Decision(observation, memory, diagnosis, plan)


def conclude(spec: PerformanceSLOSpec, decision: Decision, change: Change | None) -> tuple[Memory, Verdict | None]:
    """What is remembered once it is known what became of the plan, and the verdict on the one before."""
    seen, plan = decision.observation, decision.plan
    if plan is None:
        return _with_parts(decision.memory, {name: part.memory for name, part in decision.parts.items()}), None
    verdict = experiment.judge(decision.memory, seen) or validate.judge(spec, decision.memory, seen)
    memory, memories = decision.memory, {}
    for name, part in decision.parts.items():
        memories[name], own = _concluded(name, part, change)
        verdict = verdict or own
    shifted = change if change and change.result is ChangeResult.APPLIED and isinstance(change.step, Weigh) else None
    if verdict is None and (verdict := validate.judge_shift(memory, seen, shifted is not None)):
        memory = replace(memory, traffic=replace(memory.traffic, move=None))
    if change and change.result is ChangeResult.APPLIED and isinstance(change.step, Weigh):
        reasons = decision.shift.reasons if decision.shift else {}
        move = Move(change.decision_id, change.time, memory.slow_ratio, seen.replicas.desired)
        memory = replace(memory, traffic=trust.wrote(memory.traffic, change.step.wanted, reasons, move))
    memory = iterate.record(spec, memory, seen, decision.diagnosis, plan, change, verdict)
    return _with_parts(memory, memories), verdict


def _of_backends(
    spec: PerformanceSLOSpec, memory: Memory, observation: Observation, held: Set[str], levers: Collection[str]
) -> Decision:
    """Each backend by itself, and then all of them together."""
    before, elapsed = memory, observation.time - memory.time if memory.time is not None else 0.0
    # What a pod of all of them carries on average is nobody's capacity.
    memory = replace(iterate.absorb(spec, memory, observation), capacities=())
    parts = {}
    for name, own in members.own_specs(spec, observation).items():
        part = decide(own, before.backends.get(name, Memory()), members.own_observation(spec, observation, name))
        parts[name] = Decided(own, part.observation, part.memory, part.diagnosis, part.plan)
    memory = backends.weighed(spec, memory, observation, parts, max(0.0, elapsed))
    diagnosis = identify.diagnose(spec, memory, observation)
    diagnosis = backends.skewed(diagnosis, memory, parts, spec.metrics.min_requests)
    if spec.suspend:
        return Decision(observation, memory, diagnosis, None, parts)
    found, memory = backends.shift(spec, memory, observation, parts)
    plan, followed = backends.arbitrate(spec, memory, observation, diagnosis, parts, found, held)
    plan = optimize.intervene(spec, memory, observation, diagnosis, plan, levers, held)
    return Decision(observation, memory, diagnosis, plan, followed, found)


def _concluded(name: str, part: Decided, change: Change | None) -> tuple[Memory, Verdict | None]:
    own = None
    if change and isinstance(change.step, Scale) and change.step.subject == name:
        own = replace(change, step=replace(change.step, subject="", target=None))
    return conclude(part.spec, Decision(part.observation, part.memory, part.diagnosis, part.plan), own)


def _with_parts(memory: Memory, memories: Mapping[str, Memory]) -> Memory:
    return replace(memory, backends=memories) if memories else memory
