"""What an SLO's levers set, and the signals that they look at: what the edges have to read for them."""

from __future__ import annotations

from collections.abc import Mapping, Set

from perfslo.api.v1alpha1 import (
    CacheTier,
    CdnLever,
    Flag,
    Mode,
    OffloadLever,
    PerformanceSLOSpec,
    ScaleTargetRef,
    Signal,
    SignalKind,
    WorkloadSwitch,
)
from perfslo.core.frozen import dataclass
from perfslo.core.model import Knob, Missing, Standing, Target, TargetProblem
from perfslo.core.steps import Balance, Call, Scale, Step, Switch, TargetRef

CDN: Knob = ("cdn", "")
OFFLOAD: Knob = ("offload", "")
WORKERS: Knob = ("offload", "workers")
POOL: Knob = ("database", "pool")
POLICY: Knob = ("traffic", "policy")
OFF, ON = "off", "on"
"""What an HTTP hook can say and be told."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a ConfigMap in the SLO's namespace."""

    config_map: str
    key: str


def tier(name: str) -> Knob:
    """A cache tier's knob."""
    return "cache", name


def keys(spec: PerformanceSLOSpec) -> Mapping[Knob, Key]:
    """The ConfigMap key of each knob that has one."""
    levers, found = spec.levers, dict[Knob, Key]()
    if levers is None:
        return found
    if levers.cache:
        found |= {tier(one.name): Key(one.flag.config_map, one.flag.key) for one in levers.cache.tiers if one.flag}
    if levers.cdn and levers.cdn.flag:
        found[CDN] = Key(levers.cdn.flag.config_map, levers.cdn.flag.key)
    if levers.offload:
        found[OFFLOAD] = Key(levers.offload.flag.config_map, levers.offload.flag.key)
    if levers.database and (pool := levers.database.pool):
        found[POOL] = Key(pool.config_map, pool.key)
    return found


def workloads(spec: PerformanceSLOSpec) -> Mapping[Knob, ScaleTargetRef]:
    """The workload of each knob that is one."""
    levers, found = spec.levers, dict[Knob, ScaleTargetRef]()
    if levers is None:
        return found
    if levers.cache:
        found |= {tier(one.name): one.workload.scale_target_ref for one in levers.cache.tiers if one.workload}
    if levers.offload:
        found[WORKERS] = levers.offload.workers.scale_target_ref
    return found


def hooks(spec: PerformanceSLOSpec) -> Mapping[Knob, str]:
    """The administrator's name of the HTTP hook of each knob that has one."""
    hook = spec.levers.cdn.hook if spec.levers and spec.levers.cdn else None
    return {CDN: hook} if hook else {}


def policy(spec: PerformanceSLOSpec) -> TargetRef | None:
    """The object with the balancing policy; None when the SLO names none."""
    ref = spec.levers.traffic.policy_ref if spec.levers and spec.levers.traffic else None
    return TargetRef(ref.group, ref.kind, ref.name) if ref else None


def named(spec: PerformanceSLOSpec, knob: Knob) -> bool:
    """Whether the SLO names it; one that it named before may be on trial still."""
    return any(knob in its(spec) for its in (keys, workloads, hooks)) or (knob == POLICY and policy(spec) is not None)


def mode(spec: PerformanceSLOSpec, step: Step) -> Mode:
    """Whether a step is carried out or only recommended."""
    return spec.policy_mode if isinstance(step, Balance) else spec.lever_mode(step.lever)


def lever_key(step: Step) -> str:
    """What the lever of a step is called among those that somebody else may move."""
    return f"{step.lever}/{step.subject}" if isinstance(step, Scale | Balance) and step.subject else step.lever


def is_carried_out(spec: PerformanceSLOSpec, step: Step, held: Set[str]) -> bool:
    """Whether it would be, and not only recommended or refused: then it stands before those that are not.

    `held`: levers that somebody else moves, by `lever_key`.
    """
    return mode(spec, step) == "Auto" and lever_key(step) not in held


def signals(spec: PerformanceSLOSpec) -> tuple[Signal, ...]:
    """Those that levers look at, each once, under the names that the administrator gave them."""
    levers, named = spec.levers, dict[str | None, SignalKind]()
    if levers is None:
        return ()
    named |= {switch.hit_ratio: "CacheHitRatio" for switch in switches(spec).values()}
    named |= {switch.confirm: "SwitchedOn" for switch in _on_or_off(spec).values()}
    if levers.offload:
        named[levers.offload.workers.queue_age] = "QueueAge"
    return tuple(Signal(name=name, kind=kind, ref=name) for name, kind in named.items() if name)


def stands(standing: Standing, knob: Knob) -> str | Missing:
    """How it is set: a key's value, or the replicas that a workload is ordered to have."""
    workload = standing.workloads.get(knob)
    if isinstance(workload, Target):
        return str(workload.replicas.desired)
    if isinstance(workload, TargetProblem):
        return Missing(workload.reason, workload.message)
    return standing.values.get(knob, Missing("NotMeasured", "it was not read yet"))


def confirm(spec: PerformanceSLOSpec, knob: Knob) -> str | None:
    """The signal by which pods say that it is on; None when there is none."""
    switch = _on_or_off(spec).get(knob)
    return switch.confirm if switch else None


def on_value(spec: PerformanceSLOSpec, knob: Knob) -> str | None:
    """What it is set to while on; None for what is not just on or off."""
    return _ends(spec, knob)[1]


def off_value(spec: PerformanceSLOSpec, knob: Knob) -> str | None:
    """What it is set to while off; None for what is not just on or off."""
    return _ends(spec, knob)[0]


def _ends(spec: PerformanceSLOSpec, knob: Knob) -> tuple[str, str] | tuple[None, None]:
    """What it is set to while off and while on."""
    match _on_or_off(spec).get(knob):
        case CacheTier(flag=None, workload=WorkloadSwitch(on_replicas=count)):
            return "0", str(count)
        case CacheTier(flag=Flag() as flag) | CdnLever(flag=Flag() as flag) | OffloadLever(flag=flag):
            return flag.off_value, flag.on_value
        case CdnLever():
            return OFF, ON
    return None, None


def switches(spec: PerformanceSLOSpec) -> Mapping[Knob, CacheTier | CdnLever]:
    """Cache tiers in their order, then the CDN."""
    levers, found = spec.levers, dict[Knob, CacheTier | CdnLever]()
    if levers and levers.cache:
        found |= {tier(one.name): one for one in levers.cache.tiers}
    if levers and levers.cdn:
        found[CDN] = levers.cdn
    return found


def _on_or_off(spec: PerformanceSLOSpec) -> Mapping[Knob, CacheTier | CdnLever | OffloadLever]:
    """All that is either on or off, of which pods may say so."""
    offload = spec.levers.offload if spec.levers else None
    return {**switches(spec), **({OFFLOAD: offload} if offload else {})}


def step(spec: PerformanceSLOSpec, standing: Standing, knob: Knob, wanted: str) -> Step | None:
    """What sets it; None when it is not known how it is set, or it is set so already."""
    now = stands(standing, knob)
    if isinstance(now, Missing) or now == wanted:
        return None
    if ref := workloads(spec).get(knob):
        return Scale(int(now), int(wanted), *knob, TargetRef(ref.group, ref.kind, ref.name))
    if knob == POLICY and (held := policy(spec)):
        return Balance(held, now, wanted)
    if hook := hooks(spec).get(knob):
        return Call(hook, now, wanted, *knob)
    key = keys(spec)[knob]
    return Switch(*knob, key.config_map, key.key, now, wanted)
