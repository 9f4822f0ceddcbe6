"""An SLO whose backends have a workload each: every one is decided by the law of any other, and weights between them.

    capacity up, then weight up; weight down, drained, then capacity down

One arbiter puts the steps in this order. Weights come first: they help at once, and never give anybody more than its
ready pods carry. A backend that is to lose weight gets no pods for what it will not have, one that is to get more keeps
those it has, and nothing is taken away before a move of weights has shown its effect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.api.v1alpha1.common import ScaleTargetRef
from perfslo.core import capacity, guardrails, identify, members, text, trust
from perfslo.core.apportion import apportion, shares_of
from perfslo.core.frozen import dataclass, replace
from perfslo.core.levers import knobs, replicas, traffic
from perfslo.core.levers.traffic import Carried, Part, Shift
from perfslo.core.memory import Memory
from perfslo.core.model import Bottleneck, Diagnosis, Observation, Plan, Route
from perfslo.core.objectives import number
from perfslo.core.steps import Scale, Step, TargetRef, Weigh
from perfslo.core.weights import Traffic, Trim


@dataclass(frozen=True, slots=True)
class Decided:
    """What one backend came to by itself."""

    spec: PerformanceSLOSpec
    observation: Observation
    memory: Memory
    diagnosis: Diagnosis
    plan: Plan | None


TRAFFIC = traffic.LEVER
WEIGHTS = "Weights"
"""Name of the limit that keeps pods waiting for a move of weights."""
MUCH = 0.25
"""Of the load of backends that break the promise: while others have room for so much, weights come before pods."""


WEAK = 0.1
"""Of what a pod of the best backend carries: where one carries less, pods are no answer to anything."""


# --- traffic -----------------------------------------------------------------------------------------------------


def weighed(
    spec: PerformanceSLOSpec, memory: Memory, observation: Observation, parts: Mapping[str, Decided], elapsed: float
) -> Memory:
    """`memory` with what was seen of the weights, and of what came of them."""
    route, now, scale = observation.route, observation.time, observation.scale
    memory = replace(memory, backends={name: part.memory for name, part in parts.items()})
    if not isinstance(route, Route):
        return replace(memory, traffic=Traffic())
    seen = trust.saw(memory.traffic, route.weights, now, scale, route.original)
    settled = seen.moved_at is None or now - seen.moved_at >= scale.window_seconds
    new = min(1.0, elapsed / scale.window_seconds) if settled else 0.0
    behind = frozenset(name for name, part in parts.items() if (part.memory.slow_ratio or 0.0) > 1.0)
    is_shared = memory.troubled_since is not None and 2 * len(behind) > len(parts)
    trims = dict(seen.trims)
    for name, part in parts.items():
        if is_shared or identify.blindness(part.spec, part.observation):
            trims[name] = replace(trims[name], requests=0.0, bad=0.0)
        elif new:
            trims[name] = trust.noted(trims[name], part.diagnosis.objectives, spec.metrics.min_requests, new)
    served = seen.served if seen.behind <= behind else {}
    counts = {name: number(part.observation.requests_counted) for name, part in parts.items()}
    if new and None not in counts.values():
        served = trust.served_since(served, {name: count or 0.0 for name, count in counts.items()}, new)
    return replace(memory, traffic=replace(seen, trims=trims, served=served, behind=behind))


def shift(
    spec: PerformanceSLOSpec, memory: Memory, observation: Observation, parts: Mapping[str, Decided]
) -> tuple[Shift | None, Memory]:
    """How weights should move; None, with nothing judged, while there is nothing to go by."""
    route, state, now = observation.route, memory.traffic, observation.time
    if not isinstance(route, Route) or not sum(route.weights.values()):
        return None, memory
    enough = spec.metrics.min_requests
    bads = {name: trust.bad(trim, enough) for name, trim in state.trims.items()}
    changed_at = max((time for time in (state.judged_at, state.moved_at) if time is not None), default=None)
    trims = trust.judged(state.trims, bads)
    if trims != state.trims and traffic.is_due(changed_at, now, observation.scale, traffic.judged_after(bads.values())):
        state = replace(state, trims=trims, judged_at=now)
        memory = replace(memory, traffic=state)
    weights = apportion(route.weights, route.total)
    limits = traffic.bounds(weights, _percents(spec))
    if limits is None:
        return Shift(weights, "the bounds of the shares cannot be met with these weights"), memory
    law = {
        name: Part(
            weights[name],
            *limits[name],
            ready=part.observation.replicas.ready,
            carried=_carried(part),
            bad=bads[name],
            trim=state.trims[name],
        )
        for name, part in parts.items()
    }
    load = memory.arrivals[-1].value if memory.arrivals else 0.0
    if (why := not_followed(route, state, observation)) and all(part.ready for part in law.values()):
        return Shift(weights, why), memory
    found = traffic.propose(law, load, state, now, observation.scale)
    if found.aims is not None:
        memory = replace(memory, traffic=replace(state, aims=found.aims))
    return found, memory


def not_followed(route: Route, state: Traffic, observation: Observation) -> str:
    """Why it seems that the requests are shared in another way than the weights say; empty when they are not."""
    if not traffic.is_due(state.moved_at, observation.time, observation.scale):
        return ""
    if route.followed is False:
        return f"{route.ref} is not served as it is written ({route.note})"
    return trust.not_followed(state.served, route.weights, state.behind)


def _percents(spec: PerformanceSLOSpec) -> Mapping[str, tuple[int, int]]:
    return {backend.name: (backend.min_weight_percent, backend.max_weight_percent) for backend in members.listed(spec)}


def _carried(part: Decided) -> Carried | None:
    """What a pod carries of the most demanding latency objective."""
    version = part.observation.replicas.version
    curves = [
        capacity.curve_of(part.memory.capacities, version, objective.latency)
        for objective in part.spec.latency_objectives
        if objective.latency
    ]
    known = [(curve.median, curve.low) for curve in curves if curve.median and curve.low]
    return Carried(*min(known)) if known else None


# --- the arbiter -------------------------------------------------------------------------------------------------


def arbitrate(
    spec: PerformanceSLOSpec,
    memory: Memory,
    observation: Observation,
    diagnosis: Diagnosis,
    parts: Mapping[str, Decided],
    found: Shift | None,
    held: Set[str],
) -> tuple[Plan, Mapping[str, Decided]]:
    """All steps in the order in which they should be made, and each backend's own plan as far as it is followed.

    Args:
        held: levers that somebody else moves: "traffic", or "replicas/" and a backend's name.
    """
    free = found is not None and "traffic" not in held and spec.lever_mode("traffic") == "Auto"
    settling = not traffic.is_due(memory.traffic.moved_at, observation.time, observation.scale)
    odd = _odd_ones(parts, found) if found and free else frozenset()
    weak = _weak_ones(parts) if free else frozenset()
    parts = {
        name: _kept(_followed(name, part, memory, found, odd, weak, free, settling), memory, observation)
        for name, part in parts.items()
    }
    refs = {backend.name: backend.scale_target_ref for backend in members.listed(spec)}
    scales = [step for name, part in parts.items() if (step := _scale(name, part, refs[name]))]
    steps: list[Step] = []
    if found and found.reasons and isinstance(observation.route, Route):
        steps.append(Weigh(observation.route.ref, observation.route.weights, found.weights, observation.route.rule))
    steps += sorted(scales, key=lambda step: step.action == "ScaleDown")
    steps.sort(key=lambda step: not knobs.is_carried_out(spec, step, held))
    plans = [part.plan for part in parts.values() if part.plan]
    proposed = [plan.proposed_replicas for plan in plans]
    final = [part.plan.final_replicas if part.plan else None for part in parts.values()]
    whole = Plan(
        why=_why(spec, observation, diagnosis, parts, found, steps),
        steps=tuple(steps),
        proposed_replicas=None if None in proposed else sum(each or 0 for each in proposed),
        final_replicas=None if None in final else sum(each or 0 for each in final),
        limited_by=tuple(dict.fromkeys(limit for plan in plans for limit in plan.limited_by)),
        numbers={"load": memory.arrivals[-1].value} if memory.arrivals else {},
    )
    return whole, parts


def _odd_ones(parts: Mapping[str, Decided], found: Shift) -> Set[str]:
    """Backends that break the promise while others keep it, who could take much of what these have."""
    bad = {name: part for name, part in parts.items() if (part.memory.slow_ratio or 0.0) > 1.0}
    load = sum(part.memory.arrivals[-1].value for part in bad.values() if part.memory.arrivals)
    room = sum(room for name, room in found.room.items() if name not in bad)
    return bad.keys() if room >= MUCH * load else frozenset()


def _weak_ones(parts: Mapping[str, Decided]) -> Set[str]:
    """Backends whose pods carry next to nothing of what those of another do."""
    carried = {name: each.median for name, part in parts.items() if (each := _carried(part))}
    return {name for name, median in carried.items() if median < WEAK * max(carried.values())}


def _followed(
    name: str,
    part: Decided,
    memory: Memory,
    found: Shift | None,
    odd: Set[str],
    weak: Set[str],
    free: bool,
    settling: bool,
) -> Decided:
    """With its own plan as far as the weights let it be followed."""
    plan, desired = part.plan, part.observation.replicas.desired
    if plan is None or plan.final_replicas is None:
        return part
    wanted, aims, weights = plan.final_replicas, memory.traffic.aims, memory.traffic.weights
    falling, rising = _is_moving(aims, weights, name, -1), _is_moving(aims, weights, name, 1)
    falling = falling or (name in memory.traffic.trims and memory.traffic.trims[name].factor < 1.0)
    if free and found and wanted > desired and (name in odd or (falling and not found.short)):
        return _resting(part, desired, WEIGHTS, f"others can take its traffic ({found.why})")
    if name in weak and wanted > desired:
        return _resting(part, desired, WEIGHTS, "a pod carries next to nothing there: its traffic is for the others")
    if free and wanted < desired and (rising or settling):
        return _resting(
            part, desired, WEIGHTS, "it is to get more of the traffic" if rising else "the weights have just moved"
        )
    if free and name not in weak and found and (load := found.short.get(name)) and (carried := _carried(part)):
        pods = min(part.spec.max_replicas, math.ceil(load / (traffic.FULL * carried.median)))
        order = part.memory.order
        on_its_way = order is not None and order.wanted == desired > part.observation.replicas.ready
        if pods > max(desired, wanted) and not on_its_way:
            why = f"{guardrails.headline(desired, pods)}: pods come before {text.rate(load)}/s of the others' traffic"
            return replace(part, plan=replace(plan, why=why, final_replicas=pods))
    return part


def _kept(part: Decided, memory: Memory, observation: Observation) -> Decided:
    """With the pods that stay while something that all backends share is being tried, or might be lost."""
    plan, desired = part.plan, part.observation.replicas.desired
    if plan is None or plan.final_replicas is None or plan.final_replicas >= desired:
        return part
    if block := guardrails.trying(memory):
        return _resting(part, desired, *block)
    fewest, limit, why = guardrails.warm(memory, observation, plan, desired, plan.final_replicas)
    return _resting(part, fewest, limit, why) if fewest > plan.final_replicas else part


def _resting(part: Decided, wanted: int, limit: str, why: str) -> Decided:
    plan = part.plan
    if plan is None:
        return part
    words = f"{guardrails.headline(part.observation.replicas.desired, wanted)}: {why}"
    whole = replace(plan, why=words, final_replicas=wanted, steps=(), limited_by=(*plan.limited_by, limit))
    return replace(part, plan=whole)


def _is_moving(aims: Mapping[str, int], weights: Mapping[str, int], name: str, direction: int) -> bool:
    """Whether its weight is to move that way by more than is worth a write."""
    if not aims or not weights:
        return False
    aim, now = (shares_of(each).get(name, 0.0) for each in (aims, weights))
    return direction * (aim - now) > max(traffic.LEAST_MOVE, traffic.DEAD_BAND * now)


def _scale(name: str, part: Decided, ref: ScaleTargetRef | None) -> Scale | None:
    desired, plan = part.observation.replicas.desired, part.plan
    if plan is None or plan.final_replicas in (None, desired) or ref is None:
        return None
    target = TargetRef(ref.group, ref.kind, ref.name)
    return Scale(desired, plan.final_replicas or 0, replicas.LEVER, name, target)


def _why(
    spec: PerformanceSLOSpec,
    observation: Observation,
    diagnosis: Diagnosis,
    parts: Mapping[str, Decided],
    found: Shift | None,
    steps: list[Step],
) -> str:
    """The one sentence."""
    if steps and isinstance(steps[0], Weigh) and found:
        return f"shift traffic: {found.why}"
    if steps and (plan := parts[steps[0].subject].plan):
        return f"{steps[0].subject}: {plan.why}"
    now = identify.blindness(spec, observation) or identify.describe(spec, diagnosis) or "no latency known yet"
    limited = [f"{name}: {part.plan.why}" for name, part in parts.items() if part.plan and part.plan.limited_by]
    return "; ".join([f"hold: {now}", *([found.why] if found else []), *limited[:2]])


# --- what is the matter ------------------------------------------------------------------------------------------


def skewed(diagnosis: Diagnosis, memory: Memory, parts: Mapping[str, Decided], enough: float) -> Diagnosis:
    """The diagnosis of all of them together; one backend that alone breaks the promise is named.

    What was counted begins anew with each move of weights. Until then the last window tells: it is in this that the
    promise of all of them is broken.
    """
    bads = {
        name: trust.bad(trim, enough) or trust.bad(_window(parts[name], enough), enough)
        for name, trim in memory.traffic.trims.items()
        if name in parts
    }
    worse = {name: bad for name, bad in bads.items() if bad and bad.low > 1.0}
    rest = [bad.ratio for name, bad in bads.items() if bad and name not in worse]
    if diagnosis.slo_met is not False or not worse or len(rest) < len(worse) or max(rest) > 1.0:
        return diagnosis
    named = "; ".join(f"{name}: {bad}" for name, bad in worse.items())
    return replace(
        diagnosis, bottleneck=Bottleneck.BACKEND_SKEW, why=f"{named}, while the other backends keep the promise"
    )


def _window(part: Decided, enough: float) -> Trim:
    return trust.noted(Trim(), part.diagnosis.objectives, enough, 1.0)
