"""Carries a plan out, or says why not: the one place where modes and conflicts stand between a plan and a lever."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace

from perfslo.core.levers import knobs
from perfslo.core.model import Change, ChangeResult, Plan, Route, Target, TargetProblem
from perfslo.core.steps import Scale, TargetRef
from perfslo.core.turn import Conflict
from perfslo.edges.actuators.levers import Levers, Order
from perfslo.edges.claims import precedence
from perfslo.edges.watch import SLO

Find = Callable[[str, TargetRef, float], Target | TargetProblem]
"""By namespace and reference, at a time in Unix seconds."""


class Hands:
    """`find` gives the workload of a step that is not about the SLO's own target, as the watches show it."""

    def __init__(self, levers: Levers, enabled_levers: tuple[str, ...], find: Find) -> None:
        self._levers = levers
        self._enabled_levers = enabled_levers
        self._find = find

    async def act(self, slo: SLO, target: Target, plan: Plan, conflict: Conflict | None, now: float) -> Change | None:
        """What became of the plan's first step; None when it has none. Later steps wait for the next cycle's eyes.

        `conflict` is about what that step would move.

        Raises:
            NotLeading: this process must write nothing any more.
        """
        if not plan.steps or slo.spec is None:
            return None
        step = plan.steps[0]
        order = Order(
            holder=slo,
            step=step,
            decision_id=secrets.token_hex(4),
            time=now,
            on_delete=slo.spec.on_delete.replicas if step.lever == "replicas" else slo.spec.on_delete.others,
            target=target if isinstance(step, Scale) else None,
            recommend_only=knobs.mode(slo.spec, step) == "Recommend",
        )
        if isinstance(step, Scale) and step.target is not None:
            other = self._find(slo.namespace, step.target, now)
            if isinstance(other, TargetProblem):
                return order.change(ChangeResult.REFUSED, f"{other.reason}: {other.message}")
            order, conflict = replace(order, target=other), conflict or _other_writer(other)
        return await self._carry_out(order, conflict)

    async def _carry_out(self, order: Order, conflict: Conflict | None) -> Change:
        step = order.step
        if conflict and not order.recommend_only:
            return order.change(ChangeResult.REFUSED, f"WriteConflict: {conflict.message}")
        if step.lever not in self._enabled_levers:
            why = f"LeverDisabled: {step.lever} is not among the levers the administrator enabled"
            return order.change(ChangeResult.REFUSED, why)
        return await self._levers.apply(order)


def find_conflict(slo: SLO, target: Target, rivals: Iterable[SLO]) -> Conflict | None:
    """Who else writes the target's replicas: another autoscaler, or an older SLO for the same target."""
    if conflict := _other_writer(target):
        return conflict
    older = min(rivals, key=precedence, default=slo)
    if precedence(older) < precedence(slo):
        return Conflict(
            f"{target.ref} is already scaled for the older PerformanceSLO {older.name}: "
            "delete one of the two, or give this one another target"
        )
    return None


def find_route_conflict(route: Route) -> Conflict | None:
    """Who else writes the route's weights."""
    return Conflict.of(route.other_writers, f"writes the weights of {route.ref}")


def _other_writer(target: Target) -> Conflict | None:
    return Conflict.of(target.other_writers, f"scales {target.ref}")
