"""Every intervention is an experiment: begun with a prediction, followed until it has settled, judged at equal load.

Before and after are compared by a sequential test on counts of slow requests. Given all slow ones, those after are
binomial, with a chance that follows from how many requests there were before and after and from the ratio r of their
shares of slow ones: Wald's test of r < 1 and of r > 1 against r = 1 ends as soon as either is likely enough. More load
makes more requests slow whatever a lever does: requests after are counted for what they are worth at the load before,
by the learnt curve's shape (see `capacity`). What had queued before is slow whatever a lever does, too: while it
drains, only that a lever helps is believed, and then all is counted anew. While a queue stands still, what gets worse
is the lever's doing.
"""

from __future__ import annotations

import math

from perfslo.api.v1alpha1 import Latency, Objective, PerformanceSLOSpec
from perfslo.core import capacity, objectives, overload, text
from perfslo.core.frozen import replace
from perfslo.core.levers import knobs
from perfslo.core.memory import Memory, workloads
from perfslo.core.model import Change, Missing, Observation, Outcome, Plan, Target, Verdict
from perfslo.core.timescale import TimeScale
from perfslo.core.trials import MAX_EFFECTS, NO_TRIALS, Effect, Experiment, Held, Tally, Trials

HELPED, HURT = 0.6, 1.5
"""Ratios of the shares of slow requests that are told from 1: less is not worth a lever."""
HURT_EARLY = 2.0
"""The same before it has settled: a cold cache is expected to cost something."""
SURE = math.log(9.0)
"""Wald's bound for errors of 10 % either way."""
FEWEST = 200.0
"""Requests without which nothing is judged."""
DRAINS_UNITS = 12.0
"""3 minutes at 15 s, in which what had queued is gone, or will not go."""
LONGEST_UNITS = 40.0
"""10 minutes at 15 s: what cannot be told by then makes no difference worth telling."""
FOLLOW_SECONDS = 120.0
"""A mounted ConfigMap reaches pods within the kubelet's sync period and its cache's: up to two minutes."""
FOLLOWED = 0.9
"""Share of pods that say that they follow, from which all are taken to."""
COMPARABLE = 1.5
"""Times the load before, or so much less: further away, the curve's shape says nothing."""
BAR_UNITS = 240.0
"""An hour at 15 s, for which a lever without effect is left alone; twice as long for one that made things worse."""
FRUITLESS = 2
"""Trials without effect after which a lever is barred: one may be chance."""
HALF_LIFE_SECONDS = 7 * 86400.0
"""What a lever brought last week says half as much."""


def begun(
    spec: PerformanceSLOSpec, memory: Memory, observation: Observation, bottleneck: str, plan: Plan, change: Change
) -> Memory:
    """With the experiment that an applied intervention is. What puts one back predicts nothing, and is none."""
    trials, step, objective = memory.trials, change.step, worst(spec, observation)
    seen = _bad(observation, objective) if objective else None
    if plan.prediction is None or objective is None or objective.latency is None or seen is None:
        return memory
    (found, wanted), knob = step.values, (step.lever, step.subject)
    carried = _carried(memory, observation, objective.latency)
    held = trials.holding(knob) or Held(*knob, found, observation.time, carried)
    pending = Experiment(
        decision_id=change.decision_id,
        time=observation.time,
        lever=step.lever,
        subject=step.subject,
        found=found,
        wanted=wanted,
        bottleneck=bottleneck,
        objective=objective.name,
        load=_load(memory, observation),
        before=seen,
        replicas=observation.replicas.desired,
        predicted=plan.prediction.relief,
        settle_seconds=plan.prediction.settle_seconds,
        releases=plan.prediction.releases,
        queued_at=observation.time if overload.queues(spec, memory, observation) else None,
        waiting=overload.standing(spec, memory, observation),
    )
    others = tuple(one for one in trials.held if one.knob != knob)
    return replace(memory, trials=replace(trials, pending=pending, held=(*others, held)))


def _carried(memory: Memory, observation: Observation, latency: Latency) -> float | None:
    """Requests a second with which a pod keeps the promise; of backends, a pod of the one that carries least."""
    medians = [
        capacity.curve_of(known.capacities, seen.replicas.version, latency).median
        for known, seen in workloads(memory, observation)
    ]
    return min((median for median in medians if median), default=None)


def worst(spec: PerformanceSLOSpec, observation: Observation) -> Objective | None:
    """The latency objective that uses the most of its allowance; None without requests."""
    shares = [
        (share.ratio / objective.latency.allowed_bad_ratio, -index)
        for index, objective in enumerate(spec.latency_objectives)
        if objective.latency and (share := objectives.slow(observation, objective))
    ]
    return spec.latency_objectives[-max(shares)[1]] if shares else None


def gathered(spec: PerformanceSLOSpec, memory: Memory, observation: Observation, elapsed_seconds: float) -> Memory:
    """With what this cycle adds to the experiment in flight, and without what somebody else has given back."""
    trials, standing = memory.trials, observation.standing
    if trials is NO_TRIALS:
        return memory
    pending = trials.pending
    kept = tuple(
        one
        for one in trials.held
        if (pending and pending.knob == one.knob)
        or one.knob == knobs.WORKERS
        or knobs.stands(standing, one.knob) != one.found
    )
    if pending and pending.outcome and isinstance(now := knobs.stands(standing, pending.knob), str):
        if now != pending.wanted:  # it is back, or somebody has other plans for it
            kept = tuple(one for one in kept if one.knob != pending.knob or now != one.found)
            pending = None
    elif pending and not knobs.named(
        spec, pending.knob
    ):  # whatever was pulled is put back by whoever looks after claims
        pending = None
    elif pending:
        pending = _drained(spec, memory, _followed(spec, pending, observation), observation)
        pending = _counted(spec, memory, pending, observation, elapsed_seconds)
    return replace(memory, trials=replace(trials, pending=pending, held=kept))


def _followed(spec: PerformanceSLOSpec, pending: Experiment, observation: Observation) -> Experiment:
    """With the time since when pods follow. Where nothing says that they do, they are given the time it takes."""
    now, knob, standing = observation.time, pending.knob, observation.standing
    if pending.followed_since is not None or knobs.stands(standing, knob) != pending.wanted:
        return pending
    if isinstance(workload := standing.workloads.get(knob), Target):
        follows = workload.replicas.ready >= workload.replicas.desired
    elif knobs.confirm(spec, knob) is None:
        follows = now - pending.time >= FOLLOW_SECONDS
    else:
        follows = (_follow(spec, pending, observation) or 0.0) >= FOLLOWED
    return replace(pending, followed_since=now) if follows else pending


def _drained(spec: PerformanceSLOSpec, memory: Memory, pending: Experiment, observation: Observation) -> Experiment:
    """Counted anew when what had queued before has left the window, be it one that stood still and drains only now."""
    now, scale, queued_at, since = observation.time, observation.scale, pending.queued_at, pending.followed_since
    patience = DRAINS_UNITS * scale.unit_seconds
    if queued_at is None:
        if now - (since or pending.time) >= patience or not overload.fewer(memory, pending.waiting):
            return pending
        queued_at = now
    if since is None and knobs.confirm(spec, pending.knob) is None:
        since = pending.time
    if since is None or (overload.queues(spec, memory, observation) and now - since < patience):
        queued_at = now
    if now - queued_at < scale.window_seconds:
        return replace(pending, queued_at=queued_at, waiting=None)
    return replace(pending, queued_at=None, early=Tally(), after=Tally())


def _follow(spec: PerformanceSLOSpec, pending: Experiment, observation: Observation) -> float | None:
    """Share of the pods that say that they follow; None when that is not known."""
    name = knobs.confirm(spec, pending.knob)
    on = objectives.number(observation.standing.signals.get(name, Missing("NotMeasured"))) if name else None
    if on is None:
        return None
    return on if pending.wanted == knobs.on_value(spec, pending.knob) else 1.0 - on


def _counted(
    spec: PerformanceSLOSpec, memory: Memory, pending: Experiment, observation: Observation, elapsed_seconds: float
) -> Experiment:
    objective = next((o for o in spec.latency_objectives if o.name == pending.objective), None)
    seen = _bad(observation, objective) if objective else None
    load, scale = _load_with_what_it_took(spec, memory, pending, observation), observation.scale
    if seen is None or memory.known_since is None or pending.load <= 0:
        return pending
    if not 1 / COMPARABLE <= load / pending.load <= COMPARABLE:
        return pending
    new = min(1.0, elapsed_seconds / scale.window_seconds)
    worth = math.exp(capacity.TYPICAL_STEEPNESS * (load / pending.load - 1.0))
    requests = new * seen.requests
    more = Tally(requests, new * seen.bad, requests * min(1.0, worth), requests * max(1.0, worth))
    if has_settled(pending, observation):
        return replace(pending, after=_sum(pending.after, more))
    since = pending.followed_since if knobs.confirm(spec, pending.knob) else None
    # While pods say that none of them follows, what gets worse does so by itself.
    begun_to = since is not None or _follow(spec, pending, observation) != 0.0
    if begun_to and observation.time - (since or pending.time) >= scale.short_window_seconds:
        return replace(pending, early=_sum(pending.early, more))
    return pending


def _load_with_what_it_took(
    spec: PerformanceSLOSpec, memory: Memory, pending: Experiment, observation: Observation
) -> float:
    """Requests a second per pod; those that a CDN answers instead count, for taking them away is what it is for.

    Where nobody tells how many these are, all that come no more are taken for them.
    """
    load, switch = _load(memory, observation), knobs.switches(spec).get(pending.knob)
    if pending.knob != knobs.CDN or pending.releases or switch is None:
        return load
    hits = observation.standing.signals.get(switch.hit_ratio) if switch.hit_ratio else None
    share = objectives.number(hits) if hits else None
    return max(load, pending.load) if share is None else load / max(1.0 - share, 0.01)


def has_settled(pending: Experiment, observation: Observation) -> bool:
    """Whether all that the newest window saw was after it had settled."""
    since, window = pending.followed_since, observation.scale.window_seconds
    return since is not None and observation.time - since >= pending.settle_seconds + window


def _sum(one: Tally, other: Tally) -> Tally:
    return Tally(one.requests + other.requests, one.bad + other.bad, one.least + other.least, one.most + other.most)


def _bad(observation: Observation, objective: Objective) -> Tally | None:
    """Requests of the window, and those of them that were slow or failed."""
    share = objectives.slow(observation, objective)
    if share is None:
        return None
    bad = share.requests * objectives.failed_or(share.ratio, objective, observation)
    return Tally(share.requests, bad, share.requests, share.requests)


def _load(memory: Memory, observation: Observation) -> float:
    return memory.arrivals[-1].value / max(1, observation.replicas.ready) if memory.arrivals else 0.0


# --- judged ------------------------------------------------------------------------------------------------------


def judge(memory: Memory, observation: Observation) -> Verdict | None:
    """The verdict on the experiment in flight, or None while it is not due."""
    pending = memory.trials.pending
    if pending is None or pending.outcome:
        return None
    outcome, why = _judged(pending, memory, observation)
    return Verdict(pending.decision_id, outcome, f"{_name(pending)}: {why}", pending.lever) if outcome else None


def _judged(pending: Experiment, memory: Memory, observation: Observation) -> tuple[Outcome | None, str]:
    now, scale = observation.time, observation.scale
    stands = knobs.stands(observation.standing, pending.knob)
    ago = now - pending.time
    if isinstance(stands, str) and stands != pending.wanted and (stands != pending.found or ago > _seen_by(scale)):
        return Outcome.INCONCLUSIVE, f"somebody else set it to {stands}"
    if pending.releases and memory.breached_since is not None and memory.breached_since > pending.time:
        return Outcome.WORSE, "without it, the promise is broken"
    if observation.replicas.desired > pending.replicas:
        return Outcome.INCONCLUSIVE, "replicas were added before it could be judged"
    if pending.queued_at is None and likelihood(pending, pending.early, HURT_EARLY) >= SURE:
        return Outcome.WORSE, _shares(pending, pending.early)
    if (memory.traffic.moved_at or 0.0) > pending.time:
        return Outcome.INCONCLUSIVE, "weights were moved before it could be judged"
    enough = pending.early.requests >= FEWEST
    if enough and not pending.releases and likelihood(pending, pending.early, HELPED) >= SURE:
        return Outcome.IMPROVED, _shares(pending, pending.early)
    if pending.followed_since is None:
        if ago <= FOLLOW_SECONDS + scale.window_seconds:
            return None, ""
        return Outcome.INCONCLUSIVE, _not_followed(pending)
    over = now - pending.followed_since - pending.settle_seconds > LONGEST_UNITS * scale.unit_seconds
    if pending.after.requests < FEWEST:
        return (Outcome.INCONCLUSIVE, "there were too few requests at a like load to compare") if over else (None, "")
    return _compared(pending, over)


def _compared(pending: Experiment, over: bool) -> tuple[Outcome | None, str]:
    helped, hurt = (likelihood(pending, pending.after, ratio) for ratio in (HELPED, HURT))
    words = _shares(pending, pending.after)
    if helped >= SURE:
        return Outcome.IMPROVED, words
    if pending.queued_at is not None:
        return None, ""
    if hurt >= SURE:
        return Outcome.WORSE, words
    if helped <= -SURE and hurt <= -SURE:
        return Outcome.NO_EFFECT, words
    if not over:
        return None, ""
    if helped > 0.0:  # to put back what may well have helped would break the promise again for want of a proof
        return Outcome.INCONCLUSIVE, f"{words}, which may be chance"
    some = pending.before.bad + pending.after.bad >= objectives.CLUMPING / -math.log(HELPED)
    return (Outcome.NO_EFFECT if some else Outcome.INCONCLUSIVE), f"{words}, which may be chance"


def _not_followed(pending: Experiment) -> str:
    if pending.knob == knobs.POLICY:
        return f"the object was not seen to say {pending.wanted}: look at whether it can still be read"
    return (
        "the pods do not follow: they must read a mounted ConfigMap again, as an environment variable and a subPath "
        "never change; see the lever's confirm signal"
    )


def _seen_by(scale: TimeScale) -> float:
    """After a write, watches have shown it."""
    return 2.0 * scale.unit_seconds


def likelihood(pending: Experiment, after: Tally, ratio: float) -> float:
    """Logarithm of the likelihood of a ratio of the shares of slow requests, over that of none."""
    before, worth = pending.before, after.least if ratio < 1.0 else after.most
    if worth <= 0 or before.requests <= 0:
        return 0.0
    now, then = after.bad / objectives.CLUMPING, before.bad / objectives.CLUMPING
    # By Bayes' rule the odds of being after are ratio * worth : requests before.
    same, other = worth + before.requests, ratio * worth + before.requests
    return now * math.log(ratio * same / other) + then * math.log(same / other)


def relief(pending: Experiment) -> float:
    """Logarithm of the share of bad requests before over that after."""
    before, after = pending.before, pending.after if pending.after.requests else pending.early
    return math.log((before.bad + 0.5) / (before.requests + 1.0) * (after.requests + 1.0) / (after.bad + 0.5))


def _shares(pending: Experiment, after: Tally) -> str:
    before = pending.before.bad / pending.before.requests if pending.before.requests else 0.0
    now = after.bad / after.requests if after.requests else 0.0
    return f"bad requests went from {text.percent(before)} to {text.percent(now)} at a like load"


def _name(pending: Experiment) -> str:
    subject = f" {pending.subject}" if pending.subject else ""
    return f"{pending.lever}{subject} {pending.found}->{pending.wanted}"


# --- learnt from -------------------------------------------------------------------------------------------------


def concluded(memory: Memory, verdict: Verdict, observation: Observation) -> Memory:
    """With what a verdict teaches. What must be put back stays in flight until it is."""
    trials, pending = memory.trials, memory.trials.pending
    if pending is None or pending.decision_id != verdict.decision_id or pending.outcome:
        return memory
    unfollowed = verdict.outcome == Outcome.INCONCLUSIVE and verdict.why.endswith(_not_followed(pending))
    back = verdict.outcome == Outcome.WORSE or (
        not pending.releases and (verdict.outcome == Outcome.NO_EFFECT or unfollowed)
    )
    held, effects = trials.held, trials.effects
    if pending.releases:
        held = tuple(_after_release(one, pending, back, observation.time) for one in held)
        if not back:
            held = tuple(one for one in held if one.knob != pending.knob or one.found != pending.wanted)
    elif back or verdict.outcome == Outcome.IMPROVED:
        effects = _taught(trials, pending, verdict, unfollowed, observation)
    return replace(
        memory,
        trials=replace(
            trials,
            pending=replace(pending, outcome=verdict.outcome) if back else None,
            held=held,
            effects=effects[:MAX_EFFECTS],
        ),
    )


def _after_release(held: Held, pending: Experiment, back: bool, now: float) -> Held:
    return replace(held, since=now, missed=held.missed + 1) if back and held.knob == pending.knob else held


def _taught(
    trials: Trials, pending: Experiment, verdict: Verdict, unfollowed: bool, observation: Observation
) -> tuple[Effect, ...]:
    now, unit = observation.time, observation.scale.unit_seconds
    known = trials.effect(pending.knob, pending.bottleneck)
    weight = decayed(known, now) if known else 0.0
    brought = relief(pending)
    mean = ((known.relief if known else 0.0) * weight + brought) / (weight + 1.0)
    fruitless = 0 if verdict.outcome == Outcome.IMPROVED else (known.fruitless if known else 0) + 1
    bar, why = 0.0, ""
    if unfollowed:
        mean, weight, bar, why = (known.relief if known else 0.0), weight - 1.0, BAR_UNITS, "it was not followed"
    elif verdict.outcome == Outcome.WORSE:
        bar, why = 2.0 * BAR_UNITS, "it made things worse"
    elif fruitless >= FRUITLESS:
        bar, why = BAR_UNITS, f"it had no effect {fruitless} times in a row"
    new = Effect(
        lever=pending.lever,
        subject=pending.subject,
        bottleneck=pending.bottleneck,
        time=now,
        relief=mean,
        weight=max(0.0, weight + 1.0),
        fruitless=fruitless,
        barred_until=now + bar * unit if bar else 0.0,
        why=why,
    )
    return (new, *(one for one in trials.effects if one.key != new.key))


def decayed(effect: Effect, now: float) -> float:
    """How many trials it is worth now."""
    return effect.weight * math.pow(0.5, max(0.0, now - effect.time) / HALF_LIFE_SECONDS)
