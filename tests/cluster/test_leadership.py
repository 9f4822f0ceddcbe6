"""The leader dies or freezes: the other one goes on, the target feels nothing, and never do two of them write."""

import json
import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import pytest

from perfslo.core.timescale import TimeScale
from perfslo.settings import Lease
from tests.cluster.stage import LONG, TEMPO, Stage, unix

pytestmark = pytest.mark.cluster

TAKEOVER_SECONDS = Lease().duration_seconds + 5 * Lease().retry_period_seconds
"""Until the lease runs out, and some requests that a busy machine answers late."""
FREEZE_SECONDS = 60
REPLICAS = 3
"""More than the load needs: so there is something that a hasty new leader could take away."""
CAUTION_SECONDS = TimeScale(TEMPO.scrape_seconds, TEMPO.cycle_seconds).down_window_seconds
"""So long a new leader takes nothing away; later, it may have reasons of its own."""


def test_a_killed_leader_is_succeeded(stage: Stage) -> None:
    first = leading_under_load(stage)
    os.kill(stage.pid(first.pod), signal.SIGKILL)
    second = succeeded(stage, first)
    stage.eventually("the killed one is back as a standby", lambda: restarted(stage, first.pod) and ready(stage) == 2)
    undisturbed(stage, second)


def test_a_frozen_leader_wakes_up_powerless(stage: Stage) -> None:
    first = leading_under_load(stage, probed=False)
    pid = stage.pid(first.pod)
    os.kill(pid, signal.SIGSTOP)
    frozen = time.monotonic()
    try:
        second = succeeded(stage, first)
        time.sleep(max(0.0, FREEZE_SECONDS - (time.monotonic() - frozen)))
    finally:
        os.kill(pid, signal.SIGCONT)
    stage.eventually("the frozen one is back as a standby", lambda: restarted(stage, first.pod) and ready(stage) == 2)
    undisturbed(stage, second)


@dataclass(frozen=True)
class Term:
    """A holder of the lease, as the lease tells."""

    holder: str
    acquired: float
    renewed: float
    """Unix seconds."""

    @property
    def pod(self) -> str:
        return self.holder.partition("_")[0]


def term(stage: Stage) -> Term:
    spec = stage.get("lease", "perfslo")["spec"]
    return Term(spec["holderIdentity"], unix(spec["acquireTime"]), unix(spec["renewTime"]))


def leading_under_load(stage: Stage, *, probed: bool = True) -> Term:
    """Two replicas that keep a promise. Without the probe, the kubelet does not end a frozen one before it wakes."""
    stage.prometheus()
    stage.service("checkout", replicas=REPLICAS, behaviour={"wait_ms": 20})
    stage.load("checkout", f"t_seconds,rps\n0,5\n{3600 if LONG else 900},0\n", threshold_ms=300)
    stage.operator()
    if not probed:
        unprobed = [{"op": "remove", "path": "/spec/template/spec/containers/0/livenessProbe"}]
        stage.kubectl("patch", "deployment/perfslo", "--type=json", f"--patch={json.dumps(unprobed)}")
        stage.kubectl("rollout", "status", "deployment/perfslo", "--timeout=120s")
    stage.slo("checkout", {"minReplicas": 1, "maxReplicas": 6})
    stage.eventually("the promise is seen kept", lambda: stage.condition("checkout", "SLOMet")["status"] == "True")
    return term(stage)


def succeeded(stage: Stage, first: Term) -> Term:
    """Wait until another process leads and writes; judge the time by the lease's own."""
    last = stage.eventually("nothing renews the lease", lambda: silent(stage, first.holder), pause=0.5)
    second = stage.eventually("another leads", lambda: (t := term(stage)).holder != first.holder and t, pause=0.5)
    took = second.acquired - last.renewed
    print(f"{second.holder} took over {took:.1f} s after the last renewal by {first.holder}")
    assert second.pod != first.pod
    assert took < TAKEOVER_SECONDS
    stage.eventually("the new leader writes", lambda: second.pod in {author(write) for write in writes(stage)})
    return second


def silent(stage: Stage, holder: str) -> Term | None:
    """The holder's last term, once it was not renewed for longer than it ever waits."""
    now = term(stage)
    assert now.holder == holder
    return now if time.time() - now.renewed > 4 else None


def undisturbed(stage: Stage, second: Term) -> None:
    """Nothing was changed; every write was by the process whose renewal of the lease was the last before it."""
    calm_until = second.acquired + CAUTION_SECONDS
    stage.eventually("the handover is over", lambda: time.time() > calm_until, seconds=2 * CAUTION_SECONDS)
    assert [w for w in stage.scale_writes() if unix(w["requestReceivedTimestamp"]) < calm_until] == []
    stage.eventually("the promise is kept", lambda: stage.condition("checkout", "SLOMet")["status"] == "True")
    holder, checked = "", 0
    authors: list[str] = []
    for request in stage.operator_requests():
        if request["verb"] in ("get", "list", "watch") or not taken(request):
            continue
        if request["objectRef"]["resource"] == "leases":
            holder = author(request)
        else:
            checked += 1
            authors += [author(request)] if author(request) not in authors[-1:] else []
            assert author(request) == holder, f"{author(request)} wrote while {holder} led: {request['requestURI']}"
    print(f"{checked} writes, by {' then '.join(authors)}: each by the holder of the lease")
    assert len(authors) == 2


def writes(stage: Stage) -> list[dict[str, Any]]:
    every = stage.operator_requests()
    return [w for w in every if w["verb"] in ("patch", "create", "delete") and w["objectRef"]["resource"] != "leases"]


def taken(request: dict[str, Any]) -> bool:
    return bool(request["responseStatus"]["code"] < 300)


def author(request: dict[str, Any]) -> str:
    """The pod whose token it was."""
    return str(request["user"]["extra"]["authentication.kubernetes.io/pod-name"][0])


def restarted(stage: Stage, pod: str) -> bool:
    return any(
        p["metadata"]["name"] == pod and p["status"]["containerStatuses"][0]["restartCount"] > 0 for p in pods(stage)
    )


def ready(stage: Stage) -> int:
    return sum(p["status"]["containerStatuses"][0]["ready"] for p in pods(stage))


def pods(stage: Stage) -> list[dict[str, Any]]:
    return stage.pods("app.kubernetes.io/name=perfslo")
