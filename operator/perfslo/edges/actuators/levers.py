"""Every lever behind one door: which actuator carries out a step, and which one undoes a claim."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from perfslo.api.v1alpha1 import ClaimTarget, LeverClaim
from perfslo.core.holdings import Undo
from perfslo.core.model import Change, ChangeResult, Target
from perfslo.core.steps import Step
from perfslo.edges.claims import Claims, Holder, Pull
from perfslo.errors import ApiError, ConfigurationError, HookFailed


@dataclass(frozen=True, slots=True)
class Order:
    """A step that was decided for an SLO, against what was seen when deciding."""

    holder: Holder
    step: Step
    decision_id: str
    time: float
    on_delete: Undo
    target: Target | None = None
    """The workload whose replicas the step is about; None when it is about something else."""
    recommend_only: bool = False

    def pull(self, target: ClaimTarget, field: str, found: str, wanted: str) -> Pull:
        """What is claimed for it."""
        return Pull(
            holder=self.holder,
            target=target,
            field=field,
            found=found,
            wanted=wanted,
            decision_id=self.decision_id,
            time=self.time,
            on_delete=self.on_delete,
        )

    def change(self, result: ChangeResult, why: str) -> Change:
        """What became of it."""
        return Change(self.decision_id, self.time, self.step, result, why)


class Actuator(Protocol):
    """Moves one kind of lever: claimed first, guarded by what was read, never forced and never repeated."""

    @property
    def step(self) -> type[Step]:
        """The kind of step that it carries out."""
        ...

    def undoes(self, claim: LeverClaim) -> bool:
        """Whether a claim is on a field of its own kind."""
        ...

    async def apply(self, order: Order) -> None:
        """Carry the order out.

        Raises:
            ApiError, ConfigurationError, HookFailed: it is not carried out, or nobody knows whether it is.
            NotLeading: this process must write nothing any more.
        """
        ...

    async def restore(self, claim: LeverClaim) -> str:
        """Put back what was found first, if the value is still ours. Returns what was done, as a sentence.

        Raises:
            LostRace: it changed meanwhile. NotLeading, ConfigurationError, ApiError, HookFailed: nothing was put back.
        """
        ...


class Levers:
    def __init__(self, claims: Claims, *actuators: Actuator) -> None:
        self._claims = claims
        self._actuators = actuators

    async def apply(self, order: Order) -> Change:
        """Have the order carried out by the actuator of its step, unless it is a recommendation.

        A refusal is a result, not an exception: the next cycle plans anew from what it then sees. So is a write whose
        answer was lost: it is not repeated, for whether it arrived will be seen.

        Raises:
            NotLeading: this process must write nothing any more.
        """
        if order.recommend_only:
            return order.change(ChangeResult.RECOMMENDED, "recommended only: nothing was written")
        actuator = next(each for each in self._actuators if isinstance(order.step, each.step))
        try:
            await actuator.apply(order)
        except (ApiError, ConfigurationError, HookFailed) as error:
            return order.change(ChangeResult.REFUSED, f"{error.reason}: {error}")
        return order.change(ChangeResult.APPLIED, str(order.step))

    async def release(self, claim: LeverClaim) -> str:
        """Give the lever back as its holder wished, and forget the claim. Returns what was done, as a sentence.

        Raises:
            LostRace: something changed meanwhile; look again.
            NotLeading, ConfigurationError, ApiError, HookFailed: still claimed.
        """
        target = claim.spec.target_ref
        done = f"{target.kind}/{target.name} left as it is (onDelete: Keep)"
        if claim.spec.on_delete == "Restore":
            done = await self._actuator(claim).restore(claim)
        await self._claims.delete(claim)
        return done

    def _actuator(self, claim: LeverClaim) -> Actuator:
        for actuator in self._actuators:
            if actuator.undoes(claim):
                return actuator
        raise ConfigurationError(f"this version does not know how to put {claim.spec.field} back: put it back by hand")
