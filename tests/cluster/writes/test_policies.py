"""Balancing policies, written by the operator's own code, on a real API server with the real definitions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from perfslo.core.model import JSON, ChangeResult, TargetProblem
from perfslo.core.steps import Balance, TargetRef
from perfslo.edges.actuators.levers import Levers, Order
from perfslo.edges.actuators.policy import PolicyActuator
from perfslo.settings import PolicyKind, Settings
from tests.cluster.mirrors import eventually, publish
from tests.cluster.writes.hand import Hand
from tests.cluster.writes.watched import watching
from tests.conftest import Cluster, cluster_py

pytestmark = pytest.mark.cluster

ENVOY = PolicyKind(
    group="gateway.envoyproxy.io", version="v1alpha1", kind="BackendTrafficPolicy", resource="backendtrafficpolicies"
)
ISTIO = PolicyKind(group="networking.istio.io", version="v1", kind="DestinationRule", resource="destinationrules")


@dataclass(frozen=True)
class Case:
    kind: PolicyKind
    spec: JSON
    pointer: str
    values: tuple[str, str]

    @property
    def ref(self) -> TargetRef:
        return TargetRef(self.kind.group, self.kind.kind, "checkout")

    @property
    def resource(self) -> str:
        return f"{self.kind.resource}.{self.kind.group}/checkout"


TARGET = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "checkout"}
CASES = [
    Case(
        ENVOY,
        {"targetRefs": [TARGET], "loadBalancer": {"type": "Random"}, "timeout": {"http": {"requestTimeout": "5s"}}},
        "/spec/loadBalancer/type",
        ("Random", "LeastRequest"),
    ),
    Case(
        ISTIO,
        {
            "host": "checkout",
            "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}, "outlierDetection": {"interval": "10s"}},
            "subsets": [{"name": "v1", "labels": {"version": "v1"}}],
        },
        "/spec/trafficPolicy/loadBalancer/simple",
        ("ROUND_ROBIN", "LEAST_REQUEST"),
    ),
]
every_kind = pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind.kind)


@pytest.fixture(scope="session")
def policy_kinds(cluster: Cluster) -> None:
    """The definitions as their projects publish them. They stay: other test processes may be using them."""
    files = (
        Path(
            cluster_py("source", "envoy-gateway"),
            "charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_backendtrafficpolicies.yaml",
        ),
        Path(cluster_py("source", "istio"), "kubernetes/customresourcedefinitions.gen.yaml"),
    )
    publish(cluster, files, [f"{case.kind.resource}.{case.kind.group}" for case in CASES])


@dataclass
class Bench:
    hand: Hand
    case: Case

    def __post_init__(self) -> None:
        actuator = PolicyActuator(self.hand.api, self.hand.writer, self.hand.claims, (self.case.kind,))
        self.levers = Levers(self.hand.claims, actuator)
        self.slo = self.hand.slo("web")

    def create(self, **metadata: JSON) -> JSON:
        """The policy, as the API server keeps it."""
        kind = self.case.kind
        manifest = {"apiVersion": f"{kind.group}/{kind.version}", "kind": kind.kind, "spec": self.case.spec}
        self.hand.stage.apply(json.dumps({**manifest, "metadata": {"name": "checkout", **metadata}}))
        return self.seen()

    def seen(self) -> JSON:
        found: JSON = self.hand.stage.get(self.case.resource)
        return found

    def say(self, value: str) -> None:
        """As somebody else."""
        operation = {"op": "replace", "path": self.case.pointer, "value": value}
        self.hand.stage.kubectl("patch", self.case.resource, "--type=json", f"--patch={json.dumps([operation])}")

    def order(self) -> Order:
        step = Balance(self.case.ref, *self.case.values)
        return Order(self.slo, step, "d1", 1.8e9, on_delete="Restore")


@pytest.fixture
def bench(hand: Hand, policy_kinds: None, case: Case) -> Bench:
    return Bench(hand, case)


@every_kind
async def test_one_word_is_written_and_put_back(bench: Bench, case: Case) -> None:
    before = bench.create()
    change = await bench.levers.apply(bench.order())
    assert change.result is ChangeResult.APPLIED, change.why
    after, (found, wanted) = bench.seen(), case.values
    assert json.dumps(after["spec"]) == json.dumps(before["spec"]).replace(found, wanted)
    (claim,) = bench.hand.claims
    assert (claim.spec.field, claim.spec.original_value, claim.spec.last_value) == ("policy", found, wanted)
    assert await bench.levers.release(claim) == f"{case.ref} put back from {wanted} to {found}"
    assert bench.seen()["spec"] == before["spec"]
    assert bench.hand.claims_there() == 0


@every_kind
async def test_whoever_says_something_else_meanwhile_wins(bench: Bench, case: Case) -> None:
    bench.create()
    other = {"Random": "RoundRobin", "ROUND_ROBIN": "RANDOM"}[case.values[0]]
    bench.say(other)
    change = await bench.levers.apply(bench.order())
    assert (change.result, change.why.split(":")[0]) == (ChangeResult.REFUSED, "LostRace")
    bench.say(case.values[0])
    await bench.levers.apply(bench.order())
    bench.say(other)
    (claim,) = bench.hand.claims
    assert await bench.levers.release(claim) == f"{case.ref} was changed since: left at {other}"


@every_kind
async def test_gitops_is_seen_before_the_first_write(bench: Bench, case: Case) -> None:
    bench.create(labels={"kustomize.toolkit.fluxcd.io/name": "shop"})
    change = await bench.levers.apply(bench.order())
    assert change.result is ChangeResult.REFUSED
    assert change.why.startswith(
        f"WriteConflict: Flux Kustomization shop also writes {case.ref}: run `kubectl annotate"
    )
    assert bench.hand.claims_there() == 0


@every_kind
async def test_it_is_watched(bench: Bench, case: Case) -> None:
    settings = Settings(levers=("traffic",), policy_kinds=(case.kind,))
    async with watching(bench.hand, settings) as world:

        def says() -> str:
            found = world.policy(bench.hand.stage.namespace, case.ref)
            return found.reason if isinstance(found, TargetProblem) else found.value

        await eventually(lambda: says() == "PolicyNotFound", "there is none")
        bench.create()
        await eventually(lambda: says() == case.values[0], "what it says")
