"""The last word before acting, in one place. Each limit that bites is named and explains itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core import behavior, flapping, forecast, identify, objectives, proof, regret, text
from perfslo.core.frozen import replace
from perfslo.core.levers import cache, database, replicas
from perfslo.core.levers.option import name
from perfslo.core.memory import Memory
from perfslo.core.model import Diagnosis, Missing, Observation, Plan
from perfslo.core.optimize import steps

PROOF_SHARE = 0.8
"""Of the allowance: what may be used at most when something is taken away."""
RISEN = 1.1
"""A forecast this much higher than the one last ordered for is a new shortage."""
ECHO = 1.3
"""Right after a reduction the counts of the pods that left overlap those of the rest: so much more may be an echo."""

Block = tuple[str, str]
"""Name of a limit, and why, as the end of a sentence that begins with "but"."""


@dataclass
class _Draft:
    """A count on its way through the limits."""

    wanted: int
    reason: str
    limited_by: list[str] = field(default_factory=list)

    def limit(self, wanted: int, name: str, why: str) -> None:
        if wanted != self.wanted:
            self.wanted = wanted
            self.reason = f"{self.reason}, but {why}"
            self.limited_by.append(name)


def guard(spec: PerformanceSLOSpec, memory: Memory, observation: Observation, diagnosis: Diagnosis, plan: Plan) -> Plan:
    """`plan` within all limits, with the one sentence for the cycle."""
    current, now = observation.replicas.desired, observation.time
    least, most = spec.min_replicas, most_replicas(spec)
    rules = behavior.limits(spec.behavior, observation.scale)
    # Where the count rests when nothing is decided: as it is, unless the user moved a bound past it.
    rest = min(max(current, least), most)
    draft = _Draft(current if plan.proposed_replicas is None else plan.proposed_replicas, plan.why)
    if draft.wanted < least:
        draft.limit(least, "MinReplicas", f"minReplicas is {least}")
    if draft.wanted > most:
        draft.limit(most, *_ceiling(spec, most))
    draft.limit(*_within_budget(spec, observation, rest, draft.wanted))
    if draft.wanted != rest and behavior.tolerated(rules, rest, draft.wanted):
        draft.limit(rest, "Tolerance", "the difference is within the tolerance")
    if draft.wanted < rest and (block := _no_less(spec, memory, observation, diagnosis, plan, draft.wanted)):
        draft.limit(rest, *block)
    if draft.wanted > rest and (block := _no_more(memory, observation, plan)):
        draft.limit(rest, *block)
    stable = behavior.stabilized(rules, memory.recommendations, now, rest, draft.wanted)
    # Only what the rules add is theirs: older recommendations may exceed the bounds.
    stable = min(max(stable, least), most)
    draft.limit(stable, "StabilizationWindow", f"{stable} were asked for within the stabilization window")
    if draft.wanted < rest:
        draft.limit(*warm(memory, observation, plan, rest, draft.wanted))
        draft.limit(*_calmed(memory, now, rules, rest, draft.wanted))
        draft.limit(*_regretted(memory, observation, rest, draft.wanted))
    if fallback := _fallback(spec, memory):
        draft.limit(
            max(draft.wanted, fallback), "Fallback", f"metrics were missing {memory.missing_cycles} times in a row"
        )
    highest = max(behavior.upper_limit(rules.up, memory.scale_events, now, current), least)
    lowest = behavior.lower_limit(rules.down, memory.scale_events, now, current)
    draft.limit(min(draft.wanted, highest), "ScaleUpLimit", f"not more than {highest} in one step")
    draft.limit(max(draft.wanted, lowest), "ScaleDownLimit", f"not fewer than {lowest} in one step")
    return replace(
        plan,
        why=f"{headline(current, draft.wanted)}: {draft.reason}",
        steps=steps(current, draft.wanted),
        final_replicas=draft.wanted,
        limited_by=tuple(draft.limited_by),
    )


def headline(current: int, wanted: int) -> str:
    if wanted == current:
        return "hold"
    return f"scale {'out' if wanted > current else 'in'} {current} -> {wanted}"


def most_replicas(spec: PerformanceSLOSpec) -> int:
    """The lower of maxReplicas and what the cost cap pays for; minReplicas is kept in any case."""
    most, cost = spec.max_replicas, spec.cost
    if cost.max_hourly is not None and cost.replica_hourly is not None:
        most = min(most, int(Decimal(cost.max_hourly) / Decimal(cost.replica_hourly)))
    return max(most, spec.min_replicas)


def _ceiling(spec: PerformanceSLOSpec, most: int) -> Block:
    if most < spec.max_replicas:
        return "CostCap", f"cost.maxHourly {spec.cost.max_hourly} pays for {most}"
    return "MaxReplicas", f"maxReplicas is {most}"


def _within_budget(spec: PerformanceSLOSpec, observation: Observation, rest: int, wanted: int) -> tuple[int, str, str]:
    """How many the database has connections for: scaling out never exhausts it. Those that are there stay."""
    lever = spec.levers.database if spec.levers else None
    most = database.most_replicas(lever, observation.standing) if lever else None
    if lever is None or most is None:
        return wanted, "", ""
    kept, connections = min(wanted, max(rest, most)), observation.standing.connections
    if isinstance(connections, Missing):
        return kept, "DatabaseBudget", f"what budget {lever.budget} allows is not known ({connections.message})"
    return kept, "DatabaseBudget", f"the connections of budget {lever.budget} are enough for {most}"


def warm(memory: Memory, observation: Observation, plan: Plan, rest: int, wanted: int) -> tuple[int, str, str]:
    """How many stay in case that a cache which was turned on is lost."""
    fewest = cache.fewest_pods(memory, observation, plan.numbers.get("load", 0.0))
    kept = min(rest, max(wanted, fewest))
    return kept, "ColdCache", f"{fewest} are needed to survive the loss of the cache"


def trying(memory: Memory) -> Block | None:
    """Why nothing may be taken away while an intervention is in flight; None when none is."""
    if pending := memory.trials.pending:
        return "Experiment", f"replicas are kept while {name(pending.knob)} is being tried"
    return None


def _calmed(memory: Memory, now: float, rules: behavior.Limits, rest: int, wanted: int) -> tuple[int, str, str]:
    """How many stay because too many were taken away and ordered again of late; the limit's name, and why."""
    seconds = flapping.quiet_seconds(memory.scale_events, now, rules.down.window_seconds)
    kept = min(rest, flapping.highest(memory.recommendations, now, seconds, wanted))
    turns = flapping.turns(memory.scale_events, now)
    why = f"replicas were taken away and ordered again {turns} times within an hour"
    return kept, "FlapBudget", f"{why}, and {kept} were asked for within {text.seconds(seconds)}"


def _regretted(memory: Memory, observation: Observation, rest: int, wanted: int) -> tuple[int, str, str]:
    """How many stay because a load came back, not long ago, that fewer could not carry."""
    kept, seconds = regret.held(memory, observation.time, observation.scale, wanted)
    kept = min(rest, kept)
    why = f"pods taken away were missed when their load came back, and {kept} were asked for within"
    return kept, "LoadReturns", f"{why} {text.seconds(seconds)}"


def _fallback(spec: PerformanceSLOSpec, memory: Memory) -> int | None:
    """Replicas below which the target must not stay while its series are missing."""
    if spec.fallback is None or memory.missing_cycles < spec.fallback.failure_threshold:
        return None
    return spec.fallback.min_replicas


def _no_less(
    spec: PerformanceSLOSpec, memory: Memory, observation: Observation, diagnosis: Diagnosis, plan: Plan, wanted: int
) -> Block | None:
    """Why nothing may be taken away now; None when `wanted` replicas are proven to do."""
    pods, now, scale = observation.replicas, observation.time, observation.scale
    if block := trying(memory):
        return block
    if memory.known_since is None:
        return "MetricsUnknown", identify.blindness(spec, observation) or "the load is not known"
    seen = now - memory.known_since
    if seen < scale.down_window_seconds:
        need = text.seconds(scale.down_window_seconds)
        return "ColdStart", f"metrics have been complete for {text.seconds(seen)} only, of {need} before a reduction"
    if why := diagnosis.forbidden.get("replicas:down"):
        if memory.troubled_since is not None and diagnosis.slo_met is not False:
            return "NotAsUsual", why
        return "ObjectiveMissed", why
    if pods.rolling_out:
        return "RollingOut", "a rollout is under way"
    if pods.starting or pods.ready < wanted:
        return "PodsStarting", f"{max(pods.starting, wanted - pods.ready)} pods are still starting"
    return _unproven(spec, memory, observation, plan, wanted)


def _unproven(
    spec: PerformanceSLOSpec, memory: Memory, observation: Observation, plan: Plan, wanted: int
) -> Block | None:
    """Whether a latency objective is too close to its threshold now, or might be with `wanted` pods."""
    for objective in spec.latency_objectives:
        share = objectives.slow(observation, objective)
        if share is None or objective.latency is None:
            continue
        if share.requests < spec.metrics.min_requests:
            if share.low > objective.latency.allowed_bad_ratio:
                few = f"{share.ratio * share.requests:.0f} of only {share.requests:.0f} requests"
                return "NoProof", f"{few} are slow: too few to judge by, too many for {objective.name}"
            continue
        if share.ratio > PROOF_SHARE * objective.latency.allowed_bad_ratio:
            allowed = text.percent(objective.latency.allowed_bad_ratio)
            return "NoProof", f"{text.percent(share.ratio)} are slow, of {allowed} allowed by {objective.name}"
    load = forecast.forecast(memory, observation.scale, replicas.horizon_seconds(memory, observation))
    if proof.sufficient(spec, memory, observation, load, wanted) is None:
        return "NoProof", f"it is not proven that {wanted} would do"
    return None


def _no_more(memory: Memory, observation: Observation, plan: Plan) -> Block | None:
    """Why no more may be ordered now: what was ordered is on its way, or finds no room."""
    pods, now, order = observation.replicas, observation.time, memory.order
    if pods.pending and not pods.starting:
        return "PodsPending", f"{pods.pending} pods already find no node"
    if order is None or order.wanted != pods.desired:
        return None
    demand, ago = plan.numbers.get("demand", 0.0), text.seconds(now - order.time)
    if order.wanted < order.current:
        echo = now - order.time < observation.scale.short_window_seconds and memory.breached_since is None
        if echo and demand <= ECHO * order.demand:
            return "JustRemoved", f"pods removed {ago} ago are still counted in the load"
        return None
    if plan.numbers.get("needed", 0.0) > pods.desired:
        return None
    if demand > RISEN * order.demand or (waiting := replicas.under_way(memory, observation)) is None:
        return None
    return "AlreadyOrdered", waiting
