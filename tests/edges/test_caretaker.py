"""Levers whose SLO is gone. Doubles are the door to the API server and the claims; the scale actuator is real."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, cast

import pytest

from perfslo.api.v1alpha1 import LeverClaim, PerformanceSLOSpec
from perfslo.edges.actuators.levers import Levers
from perfslo.edges.actuators.scale import ScaleActuator
from perfslo.edges.caretaker import MASS, Caretaker
from perfslo.edges.claims import Claims
from perfslo.edges.kube.client import Api
from perfslo.edges.kube.writes import Writer
from perfslo.edges.watch import SLO
from perfslo.errors import ApiUnavailable, LostRace, NotFound, NotLeading
from perfslo.settings import DEPLOYMENT
from tests.core.turns import spec
from tests.edges.slos import slo

GRACE = 60.0
Undo = Literal["Keep", "Restore"]


def aimed_at(name: str, undo: Undo = "Restore") -> PerformanceSLOSpec:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return spec(scaleTargetRef=reference, onDelete={"replicas": undo})


class Village:
    """Deployments, claims of them, and the caretaker who walks round."""

    def __init__(self) -> None:
        self.replicas: dict[str, int] = {}
        self.claims: dict[str, LeverClaim] = {}
        self.living: list[SLO] = []
        self.deleted: set[str] = set()
        """UIDs of SLOs that the API server says are gone."""
        self.trouble: Exception | None = None
        scale = ScaleActuator(cast(Api, self), cast(Writer, self), cast(Claims, self), (DEPLOYMENT,))
        self.caretaker = Caretaker(cast(Claims, self), Levers(cast(Claims, self), scale), GRACE)

    def settle(self, name: str, undo: Undo = "Restore", *, original: int = 2, now: int = 5) -> None:
        """An SLO that scaled the Deployment of its name from `original` to `now`."""
        self.living.append(slo(name, spec=aimed_at(name, undo)))
        self.replicas[name] = now
        self.claims[name] = LeverClaim.model_validate(
            {
                "metadata": {"name": f"claim-{name}", "namespace": "shop", "uid": f"claim-{name}"},
                "spec": {
                    "targetRef": {"group": "apps", "kind": "Deployment", "name": name, "uid": f"target-{name}"},
                    "field": "replicas",
                    "holder": {"name": name, "uid": f"uid-{name}"},
                    "originalValue": str(original),
                    "lastValue": str(now),
                    "onDelete": undo,
                },
            }
        )

    def bury(self, *names: str) -> None:
        self.vanish(*names)
        self.deleted |= {f"uid-{name}" for name in names}

    def vanish(self, *names: str) -> None:
        """The watch shows them no more; whether they were deleted is another question."""
        self.living = [each for each in self.living if each.name not in names]

    async def at(self, now: float) -> dict[str, int]:
        await self.caretaker.look_round(self.living, now)
        return self.replicas

    # the claims

    def __iter__(self) -> Iterator[LeverClaim]:
        return iter(tuple(self.claims.values()))

    async def holder_is_gone(self, claim: LeverClaim) -> bool:
        if self.trouble:
            raise self.trouble
        return claim.spec.holder.uid in self.deleted

    async def adopt(self, claim: LeverClaim, heir: SLO, on_delete: Undo) -> None:
        holder = claim.spec.holder.model_copy(update={"name": heir.name, "uid": heir.uid})
        changed = claim.spec.model_copy(update={"holder": holder, "on_delete": on_delete})
        self.claims[claim.spec.target_ref.name] = claim.model_copy(update={"spec": changed})

    async def delete(self, claim: LeverClaim) -> None:
        del self.claims[claim.spec.target_ref.name]

    # the API server

    async def request(self, method: str, path: str) -> dict[str, Any]:
        if path == "/apis/apps/v1":
            return {"resources": [{"name": "deployments"}]}
        name = path.split("/")[-2]
        if name not in self.replicas:
            raise NotFound("gone")
        return {"metadata": {"uid": f"target-{name}"}, "spec": {"replicas": self.replicas[name]}}

    async def send(self, method: str, path: str, body: Any, **_: Any) -> dict[str, Any]:
        if self.trouble:
            raise self.trouble
        self.replicas[path.split("/")[-2]] = body[-1]["value"]
        return {}


async def test_who_lives_keeps_its_lever() -> None:
    village = Village()
    village.settle("web")
    for now in (0.0, GRACE, 10 * GRACE):
        assert await village.at(now) == {"web": 5}
    assert {*village.claims} == {"web"}


async def test_an_edit_of_on_delete_reaches_the_claim_while_its_holder_lives() -> None:
    village = Village()
    village.settle("web", "Keep")
    village.living = [slo("web", spec=aimed_at("web", "Restore"))]
    await village.at(0.0)
    assert village.claims["web"].spec.on_delete == "Restore"
    village.bury("web")
    await village.at(1.0)
    assert await village.at(1.0 + GRACE) == {"web": 2}


async def test_restore_puts_back_after_the_grace_period_and_forgets() -> None:
    village = Village()
    village.settle("web")
    village.bury("web")
    assert await village.at(0.0) == {"web": 5}
    assert await village.at(GRACE - 1) == {"web": 5}
    assert await village.at(GRACE) == {"web": 2}
    assert village.claims == {}


async def test_keep_leaves_and_forgets() -> None:
    village = Village()
    village.settle("web", "Keep")
    village.bury("web")
    await village.at(0.0)
    assert await village.at(GRACE) == {"web": 5}
    assert village.claims == {}


async def test_what_somebody_else_set_since_stays() -> None:
    village = Village()
    village.settle("web")
    village.bury("web")
    village.replicas["web"] = 9
    await village.at(0.0)
    assert await village.at(GRACE) == {"web": 9}
    assert village.claims == {}


async def test_a_target_that_is_gone_too_leaves_nothing_behind() -> None:
    village = Village()
    village.settle("web")
    village.bury("web")
    del village.replicas["web"]
    await village.at(0.0)
    await village.at(GRACE)
    assert village.claims == {}


async def test_one_that_came_back_in_time_keeps_its_lever() -> None:
    village = Village()
    village.settle("web")
    known = village.living
    village.vanish("web")
    await village.at(0.0)
    village.living = known
    await village.at(GRACE - 1)
    village.vanish("web")
    assert await village.at(GRACE + 1) == {"web": 5}, "the grace period begins anew"


async def test_what_a_watch_lost_is_not_undone_while_the_server_has_it() -> None:
    village = Village()
    village.settle("web")
    village.vanish("web")
    await village.at(0.0)
    assert await village.at(10 * GRACE) == {"web": 5}
    assert {*village.claims} == {"web"}


async def test_while_nobody_can_tell_nothing_is_undone() -> None:
    village = Village()
    village.settle("web")
    village.bury("web")
    village.trouble = ApiUnavailable("503")
    await village.at(0.0)
    assert await village.at(GRACE) == {"web": 5}
    village.trouble = None
    assert await village.at(GRACE + 15) == {"web": 2}


async def test_a_replaced_slo_adopts_at_once_with_its_own_wish() -> None:
    village = Village()
    village.settle("web", "Restore")
    village.bury("web")
    village.living = [slo("web", uid="uid-new", spec=aimed_at("web", "Keep"))]
    assert await village.at(0.0) == {"web": 5}
    claim = village.claims["web"].spec
    assert (claim.holder.uid, claim.on_delete, claim.original_value) == ("uid-new", "Keep", "2")


async def test_of_two_heirs_the_older_adopts() -> None:
    village = Village()
    village.settle("web")
    village.bury("web")
    older = slo("older", created="2026-01-01T00:00:00Z", spec=aimed_at("web"))
    younger = slo("younger", created="2026-01-02T00:00:00Z", spec=aimed_at("web"))
    village.living = [older, younger]
    await village.at(0.0)
    assert village.claims["web"].spec.holder.name == "older"


async def test_a_lever_whose_slo_was_pointed_elsewhere_is_given_back() -> None:
    village = Village()
    village.settle("web")
    village.living = [slo("web", spec=aimed_at("other"))]
    await village.at(0.0)
    assert await village.at(GRACE) == {"web": 2}


async def test_an_slo_whose_spec_is_not_understood_keeps_its_lever() -> None:
    village = Village()
    village.settle("web")
    village.living = [slo("web", problem="spec.window: write a window")]
    await village.at(0.0)
    assert await village.at(10 * GRACE) == {"web": 5}


async def test_many_that_vanish_at_once_are_held_and_said_so() -> None:
    village, names = Village(), [f"web-{number}" for number in range(MASS)]
    for name in names:
        village.settle(name)
    village.bury(*names)
    await village.at(0.0)
    assert await village.at(10 * GRACE) == dict.fromkeys(names, 5)
    assert {*village.claims} == {*names}


async def test_the_brake_holds_the_rest_when_some_came_back() -> None:
    village, names = Village(), [f"web-{number}" for number in range(MASS + 1)]
    for name in names:
        village.settle(name)
    village.bury(*names)
    await village.at(0.0)
    village.living = [slo(name, uid=f"new-{name}", spec=aimed_at(name)) for name in names[1:]]
    await village.at(GRACE)
    assert await village.at(10 * GRACE) == dict.fromkeys(names, 5)
    assert village.claims[names[0]].spec.holder.uid == f"uid-{names[0]}"
    assert village.claims[names[1]].spec.holder.uid == f"new-{names[1]}"


async def test_somebody_tidying_up_is_not_a_mass() -> None:
    village, names = Village(), [f"web-{number}" for number in range(2 * MASS)]
    for name in names:
        village.settle(name)
    village.bury(*names[:MASS])
    await village.at(0.0)
    assert await village.at(GRACE) == dict.fromkeys(names[:MASS], 2) | dict.fromkeys(names[MASS:], 5)


async def test_many_that_are_to_be_kept_need_no_brake() -> None:
    village, names = Village(), [f"web-{number}" for number in range(MASS)]
    for name in names:
        village.settle(name, "Keep")
    village.bury(*names)
    await village.at(0.0)
    assert await village.at(GRACE) == dict.fromkeys(names, 5)
    assert village.claims == {}


async def test_one_that_is_refused_does_not_stop_the_others() -> None:
    village = Village()
    village.settle("a")
    village.settle("b", "Keep")
    village.bury("a", "b")
    await village.at(0.0)
    send = village.send

    async def refuse(method: str, path: str, body: Any, **more: Any) -> dict[str, Any]:
        raise LostRace("changed")

    village.send = refuse  # type: ignore[method-assign]
    assert await village.at(GRACE) == {"a": 5, "b": 5}
    assert {*village.claims} == {"a"}
    village.send = send  # type: ignore[method-assign]
    assert await village.at(GRACE + 15) == {"a": 2, "b": 5}


async def test_who_leads_no_more_undoes_nothing() -> None:
    village = Village()
    village.settle("web")
    village.bury("web")
    await village.at(0.0)
    village.trouble = NotLeading("lost")
    with pytest.raises(NotLeading):
        await village.at(GRACE)
    assert village.replicas == {"web": 5}
