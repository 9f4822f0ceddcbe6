"""Work moved out of the request to background workers, which are scaled by the age of their queue.

The flag is an intervention like any other. The workers are not: they follow their queue as replicas follow the load.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from perfslo.api.v1alpha1 import PerformanceSLOSpec, Workers
from perfslo.core import text
from perfslo.core.frozen import replace
from perfslo.core.levers import knobs, switching
from perfslo.core.levers.knobs import OFFLOAD, WORKERS
from perfslo.core.levers.option import Case, Option
from perfslo.core.memory import Memory
from perfslo.core.model import Missing, Observation, Signal, TargetProblem, Value
from perfslo.core.steps import Scale
from perfslo.core.trials import Held

GUESS = 0.4
"""Part of the slow requests that moving work away helps, before it was tried: what is marked is what takes long."""
MOST_AT_ONCE = 2.0
"""Times the workers: a queue far too old needs more, but not before twice as many were seen to be too few."""
IDLE_SHARE = 0.3
"""Of the age that workers must keep below: with a younger queue, one worker less is tried."""
IDLE_UNITS = 40.0
"""10 minutes at 15 s of that, for each worker less."""


def options(case: Case) -> Iterator[Option]:
    """Moving the work, or taking it back."""
    lever = case.spec.levers.offload if case.spec.levers else None
    if lever is None:
        return
    standing = case.observation.standing
    held = case.memory.trials.holding(OFFLOAD)
    if held and knobs.stands(standing, OFFLOAD) == lever.flag.on_value:
        yield switching.given_back(case, held, held.found)
    elif isinstance(workers := standing.workloads.get(WORKERS), TargetProblem):
        yield Option(OFFLOAD, f"its workers cannot take the work: {workers.message}")
    elif not isinstance(_age(lever.workers, case.observation), Value):
        yield Option(OFFLOAD, f"the age of its queue ({lever.workers.queue_age}) is not known")
    else:
        yield switching.turned_on(case, OFFLOAD, GUESS, 0.0, 0.0)


def backlog(spec: PerformanceSLOSpec, observation: Observation) -> str:
    """How far workers are behind; empty when they are not, or nobody knows."""
    workers = spec.levers.offload.workers if spec.levers and spec.levers.offload else None
    age = _age(workers, observation) if workers else None
    if workers is None or not isinstance(age, Value) or age.value <= workers.max_queue_age_seconds:
        return ""
    limit = workers.max_queue_age_seconds
    return f"the oldest item in {workers.queue_age} waits for {text.seconds(age.value)} of at most {limit}s"


def followed(case: Case) -> tuple[Scale, str] | None:
    """How many workers the queue asks for, and why; None when they are right, or nobody knows."""
    lever = case.spec.levers.offload if case.spec.levers else None
    now = knobs.stands(case.observation.standing, WORKERS)
    if lever is None or isinstance(now, Missing):
        return None
    moved = knobs.stands(case.observation.standing, OFFLOAD)
    wanted, why = _wanted(case, lever.workers, int(now), moved != lever.flag.off_value)
    step = knobs.step(case.spec, case.observation.standing, WORKERS, str(wanted))
    return (step, why) if isinstance(step, Scale) else None


def _wanted(case: Case, workers: Workers, count: int, moved: bool) -> tuple[int, str]:
    """`moved`: whether work is moved to them, or may be."""
    held, trials, unit = case.memory.trials.holding(WORKERS), case.memory.trials, case.observation.scale.unit_seconds
    if moved and count < workers.min_replicas:
        return workers.min_replicas, f"workers.minReplicas is {workers.min_replicas} while work is moved to them"
    if count > workers.max_replicas and moved:
        return workers.max_replicas, f"workers.maxReplicas is {workers.max_replicas}"
    age, limit = _age(workers, case.observation), float(workers.max_queue_age_seconds)
    if not isinstance(age, Value) or not (moved or held):
        return count, ""
    told = f"the oldest item waits for {text.seconds(age.value)} of at most {text.seconds(limit)}"
    if age.value > limit:
        if not _settled(case):
            return count, ""
        more = max(count + 1, math.ceil(count * min(age.value / limit, MOST_AT_ONCE)))
        return max(count, min(more, workers.max_replicas)), told
    if trials.idle_since is None or case.observation.time - trials.idle_since < IDLE_UNITS * unit:
        return count, ""
    if not moved and held:
        return min(count, int(held.found)), f"no work is moved to them any more, and {told}"
    return max(min(count, workers.min_replicas), count - 1), told


def _settled(case: Case) -> bool:
    """Whether the workers that were ordered last have had their effect."""
    workload = case.observation.standing.workloads.get(WORKERS)
    if workload is None or isinstance(workload, TargetProblem):
        return False
    held, replicas = case.memory.trials.workers_moved, workload.replicas
    window = case.observation.scale.window_seconds
    return replicas.ready >= replicas.desired and (held is None or case.observation.time - held >= window)


def noticed(spec: PerformanceSLOSpec, memory: Memory, observation: Observation) -> Memory:
    """With the time since when workers have had next to nothing to do."""
    workers = spec.levers.offload.workers if spec.levers and spec.levers.offload else None
    if workers is None:
        return memory
    age = _age(workers, observation)
    idle = isinstance(age, Value) and age.value <= IDLE_SHARE * workers.max_queue_age_seconds
    since = memory.trials.idle_since if memory.trials.idle_since is not None else observation.time
    return replace(memory, trials=replace(memory.trials, idle_since=since if idle else None))


def moved(memory: Memory, step: Scale, now: float) -> Memory:
    """With what was found before workers were first scaled, and when they were scaled last."""
    trials = memory.trials
    others = tuple(one for one in trials.held if one.knob != WORKERS)
    held = trials.holding(WORKERS) or Held(*WORKERS, str(step.current), now)
    given_back = held.found == str(step.wanted)
    kept = others if given_back else (*others, held)
    return replace(memory, trials=replace(trials, held=kept, workers_moved=now, idle_since=None))


def _age(workers: Workers, observation: Observation) -> Signal:
    return observation.standing.signals.get(workers.queue_age, Missing("NotMeasured"))
