"""Carries a plan out, or says why not: the one place where modes and conflicts stand between a plan and a lever."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import structlog

from perfslo.core.model import Change, ChangeResult, Plan, Target
from perfslo.core.turn import Conflict
from perfslo.edges.actuators.scale import Order, ScaleActuator
from perfslo.edges.claims import precedence
from perfslo.edges.watch import SLO

log = structlog.get_logger(__name__)


class Hands:
    def __init__(self, scale: ScaleActuator, enabled_levers: tuple[str, ...]) -> None:
        self._scale = scale
        self._enabled_levers = enabled_levers

    async def act(self, slo: SLO, target: Target, plan: Plan, conflict: Conflict | None, now: float) -> Change | None:
        """What became of the plan's first step; None when it has none. Later steps wait for the next cycle's eyes.

        Raises:
            NotLeading: this process must write nothing any more.
        """
        if not plan.steps or slo.spec is None:
            return None
        step = plan.steps[0]
        decision_id = secrets.token_hex(4)
        recommend_only = slo.spec.lever_mode(step.lever) == "Recommend"
        if conflict and not recommend_only:
            return Change(decision_id, now, step, ChangeResult.REFUSED, f"WriteConflict: {conflict.message}")
        if step.lever not in self._enabled_levers:
            why = f"LeverDisabled: {step.lever} is not among the levers the administrator enabled"
            return Change(decision_id, now, step, ChangeResult.REFUSED, why)
        change = await self._scale.apply(
            Order(
                holder=slo,
                target=target,
                step=step,
                decision_id=decision_id,
                time=now,
                on_delete=slo.spec.on_delete.replicas,
                recommend_only=recommend_only,
            )
        )
        log.info(
            "decision",
            namespace=slo.namespace,
            name=slo.name,
            decision_id=decision_id,
            lever=step.lever,
            current=step.current,
            wanted=step.wanted,
            result=change.result.value,
            why=plan.why,
            numbers=dict(plan.numbers),
        )
        return change


def find_conflict(slo: SLO, target: Target, rivals: Iterable[SLO]) -> Conflict | None:
    """Who else writes the target's replicas: another autoscaler, or an older SLO for the same target."""
    if target.other_writers:
        writer = target.other_writers[0]
        return Conflict(f"{writer.kind} {writer.name} also scales {target.ref}: {writer.fix}")
    older = min(rivals, key=precedence, default=slo)
    if precedence(older) < precedence(slo):
        return Conflict(
            f"{target.ref} is already scaled for the older PerformanceSLO {older.name}: "
            "delete one of the two, or give this one another target"
        )
    return None
