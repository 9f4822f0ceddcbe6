"""Policies by name."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import pytest

from perfslo.core.model import Histogram
from perfslo.errors import ConfigurationError
from perfslo.simulate.model import Dependency, Service
from perfslo.simulate.policies import oracle, registry
from tests.simulate.policies.views import SCENARIO, FakeView, ready_pods


@pytest.mark.parametrize("text", registry.USAGE)
def test_every_example_is_a_policy_of_its_name(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "true_capacity", lambda *_: 30.0)
    policy = registry.parse(text)(SCENARIO)
    assert policy.name == text
    assert policy.period_seconds > 0
    assert isinstance(policy.explain(), dict)
    if text != "perfslo":  # which looks at more than this view has
        assert policy.decide(FakeView(desired=3, pods=ready_pods(3))) >= 1


def test_what_there_is_can_be_told_without_what_a_simulation_needs() -> None:
    code = "import sys; from perfslo.simulate.policies import registry; registry.grid; print('numba' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


def test_a_factory_makes_a_new_policy_for_each_run() -> None:
    factory = registry.parse("hpa-cpu=60")
    assert factory(SCENARIO) is not factory(SCENARIO)


@pytest.mark.parametrize(
    ("text", "replicas"),
    [
        # 1.6 of 2 cores
        ("hpa-cpu=80", 4),
        ("hpa-cpu=40", 8),
        # P95 of 0.2 s
        ("keda-p95=200ms", 4),
        ("keda-p95=0.1s", 8),
        ("keda-p50=50ms", 8),
        # 144 a second
        ("keda-rps=24", 6),
        # 14.4 in flight, 2 workers
        ("kpa=0.9", 8),
        ("kpa=1.8", 4),
        # a saturation of 0.8; its up window holds the 4 that it found
        ("llmd", 4),
        ("static=12", 12),
        # 100 a second, 30 per pod
        ("static-peak", 4),
        ("static-mean", 4),
        ("oracle", 4),
    ],
)
def test_the_value_counts(text: str, replicas: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "true_capacity", lambda *_: 30.0)
    view = FakeView(
        desired=4,
        pods=ready_pods(4, cores=1.6),
        latency=Histogram((0.01, 0.21, math.inf), (0.0, 100.0, 100.0)),
        rps=144.0,
        concurrencies={60.0: 14.4, 6.0: 14.4},
    )
    assert registry.parse(text)(SCENARIO).decide(view) == replicas


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("hpa", "no policy 'hpa'; there are perfslo ("),
        ("", "no policy ''"),
        ("hpa-cpu", "needs a number"),
        ("hpa-cpu=sixty", "needs a number"),
        ("hpa-cpu=62.5", "needs a whole number"),
        ("hpa-cpu=nan", "needs a number"),
        ("keda-p95=200", "needs a duration of 1ms or more with its unit"),
        ("keda-p95=0ms", "needs a duration"),
        ("keda-p0=200ms", "needs a number"),
        ("keda-rps=-3", "needs a number"),
        ("kpa=inf", "needs a number"),
        ("llmd=0.5", "two shares"),
        ("llmd=0.4,0.5", "higher one"),
        ("static=0", "needs a number"),
        ("oracle=3", "no policy"),
    ],
)
def test_a_bad_name_is_explained(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as found:
        registry.parse(text)
    assert complaint in str(found.value)


def test_the_grid_is_of_policies_and_scales_with_the_scenario() -> None:
    names = registry.grid(SCENARIO)
    assert len(names) == len(set(names)) == 9 + 5 + 5 + 7 + 5
    assert {registry.parse(name)(SCENARIO).name for name in names} == set(names)
    # 2 workers of 40 ms: 50 a second
    assert {"hpa-cpu=40", "hpa-cpu=80", "keda-p95=150ms", "keda-p95=250ms", "keda-rps=20", "keda-rps=40"} <= set(names)
    assert {"kpa=0.6", "kpa=1.2", "llmd=0.55,0.4"} <= set(names)
    slow = replace(
        SCENARIO,
        target_seconds=1.0,
        percentile=99.0,
        service=Service(dependency=Dependency(servers=8, mean_seconds=0.12), hit_ratio=0.5),
    )
    # 40 ms, and 60 ms of calls on average: 20 a second
    assert {"keda-p99=600ms", "keda-p99=1000ms", "keda-rps=8", "keda-rps=16"} <= set(registry.grid(slow))
