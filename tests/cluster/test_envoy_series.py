"""Envoy Gateway calls a rule's series otherwise once a backend empties: what is measured of each stays right."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import pytest
import yaml

from perfslo.core.model import JSON
from perfslo.settings import HTTP_ROUTE
from tests.cluster.proxies import envoy_gateway, shared_promise
from tests.cluster.stage import Load, Stage, Tempo

pytestmark = [pytest.mark.cluster, pytest.mark.long]

WAITS_MS = {"one": 20, "two": 100, "three": 400}
"""So far apart that nobody's percentile can be taken for another's."""
P95_SECONDS = {"one": (0.02, 0.1), "two": (0.1, 0.4), "three": (0.4, 1.5)}
RPS, THRESHOLD_MS, END = 40, 2000, 1200
TOLERANCE = 0.15
BY_PODS, BY_RULE = "pods", "rule"
"""SLOs for the same backends, by what they are measured with."""
PRESET = "edge"
"""That of Envoy Gateway, whose proxies run in the stage's own namespace here."""
TEMPO = Tempo(10, 5)
"""Envoy renews its histograms each 5 s: scraped as often, they would now and then look as if nothing had come."""


@dataclass
class Shop:
    stage: Stage
    load: Load

    def clusters(self) -> set[str]:
        """What comes after the route's name in those of Envoy's clusters, as Envoy itself exposes them."""
        (pod,) = self.stage.pods("app.kubernetes.io/component=proxy")
        where = f"/api/v1/namespaces/{self.stage.namespace}/pods/{pod['metadata']['name']}:19001/proxy/stats/prometheus"
        named = (
            rf'^envoy_cluster_membership_total{{.*envoy_cluster_name="httproute/{self.stage.namespace}/shared/([^"]+)"'
        )
        return set(re.findall(named, self.stage.kubectl("get", "--raw", where), re.MULTILINE))

    def backends(self, slo: str) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.stage.status(slo).get("backends", ())}

    def tells_apart(self, *names: str) -> bool:
        """Whether each of these has its own 95th percentile, as its pods tell."""
        seen = {name: seconds(each.get("p95")) for name, each in self.backends(BY_PODS).items()}
        return all(
            name in seen and low < (seen[name] or 0.0) < high
            for name, (low, high) in P95_SECONDS.items()
            if name in names
        )

    def shares(self) -> list[float]:
        """Of the requests; nothing of whom nothing is known."""
        known = [each["observedPercent"] for each in self.backends(BY_PODS).values() if "observedPercent" in each]
        return [float(percent) / 100 for percent in known]

    def rule(self, objective: str) -> str:
        """What Envoy's series say of all requests to the route; "" while they say nothing."""
        objectives = self.stage.status(BY_RULE).get("objectives", ())
        current: str = next((each.get("current", "") for each in objectives if each["name"] == objective), "")
        return current

    def serves(self, share: float) -> bool:
        """Whether this share of the requests is answered, by Envoy's series; nothing they say is of both names."""
        said = self.rule("served")
        print(f"{self.load.now()} s, {said or '?'}/s by {sorted(self.clusters())}, shares {self.shares()}")
        if not said:
            return False
        assert 0.0 < float(said) <= (1 + TOLERANCE) * RPS, said
        return abs(float(said) / RPS - share) < TOLERANCE * share

    def says_nothing_of_each(self) -> bool:
        """Whether Envoy's series, which are of the rule, are taken for nobody's."""
        return not any(key in each for each in self.backends(BY_RULE).values() for key in ("p95", "observedPercent"))


def seconds(text: str | None) -> float | None:
    if text is None:
        return None
    return float(text.removesuffix("ms")) / 1000 if text.endswith("ms") else float(text.removesuffix("s"))


def promise(**metrics: Any) -> JSON:
    reference = {"group": HTTP_ROUTE.group, "kind": HTTP_ROUTE.kind, "name": "shared"}
    spec = shared_promise(WAITS_MS, THRESHOLD_MS, mode="Recommend", routeRef=reference)
    served = {"name": "served", "throughput": {"minPerSecond": "1"}}
    return {**spec, "objectives": [*spec["objectives"], served], "metrics": {"minRequests": 20, **metrics}}


def test_each_is_measured_as_before_while_a_backend_is_empty_and_afterwards(stage: Stage) -> None:
    stage = replace(stage, tempo=TEMPO)
    stage.prometheus()
    for name, wait_ms in WAITS_MS.items():
        stage.service(name, replicas=1, workers=32, behaviour={"wait_ms": wait_ms, "cpu_ms": 0.2, "cv": 0.1})
    preset = yaml.safe_load(files("perfslo.presets").joinpath("envoy-gateway.yaml").read_text())
    here = {**preset, "matchers": [{"label": "namespace", "value": stage.namespace}]}
    with envoy_gateway(stage, dict.fromkeys(WAITS_MS, 1)) as proxy:
        stage.operator({
            "levers": ["replicas", "traffic"], "routeKinds": [HTTP_ROUTE.model_dump()], "presets": {PRESET: here},
        })  # fmt: skip
        shop = Shop(stage, stage.load(proxy.entrance, f"t_seconds,rps\n0,{RPS}\n{END},0\n", threshold_ms=THRESHOLD_MS))
        stage.slo(BY_PODS, promise())
        stage.slo(BY_RULE, promise(preset=PRESET, service="shared"))

        def all_is_as_usual() -> bool:
            thirds = all(abs(share - 1 / 3) < 0.05 for share in shop.shares()) and len(shop.shares()) == len(WAITS_MS)
            return shop.serves(1.0) and thirds and shop.tells_apart(*WAITS_MS)

        stage.eventually("all is as usual", all_is_as_usual, seconds=180, pause=5)
        assert shop.clusters() == {"rule/0"}
        assert shop.says_nothing_of_each()

        stage.kubectl("scale", "deployment/three", "--replicas=0")
        names = {f"rule/0/backend/{number}" for number in range(len(WAITS_MS))}
        stage.eventually("the names have changed", lambda: shop.clusters() == names, seconds=60)
        stage.eventually("nothing is known of three", lambda: "p95" not in shop.backends(BY_PODS)["three"], seconds=90)
        stage.eventually("two thirds are answered", lambda: shop.serves(2 / 3), seconds=120, pause=5)
        assert shop.shares() == [], "a share of what is not known altogether"
        stage.eventually("the others are told apart", lambda: shop.tells_apart("one", "two"), seconds=60, pause=5)
        assert shop.says_nothing_of_each()

        stage.kubectl("scale", "deployment/three", "--replicas=1")
        stage.eventually("the names are those of before", lambda: shop.clusters() == {"rule/0"}, seconds=90)
        stage.eventually("all is as it was", all_is_as_usual, seconds=180, pause=5)
        assert shop.says_nothing_of_each()
