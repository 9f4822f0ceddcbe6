"""Policies by name, as on the command line: "hpa-cpu=60"."""

from __future__ import annotations

import re
from collections.abc import Callable

from perfslo.api.v1alpha1.common import duration_seconds
from perfslo.errors import ConfigurationError
from perfslo.simulate.model import Policy, Scenario
from perfslo.simulate.policies import hpa, keda, llmd
from perfslo.simulate.policies.kpa import Kpa
from perfslo.simulate.policies.static import Static

Factory = Callable[[Scenario], Policy]
"""Makes the policy for one run."""

USAGE = {
    "perfslo": "this operator, with its defaults",
    "hpa-cpu=60": "HPA on CPU: percent of the request",
    "keda-p95=200ms": "KEDA on a percentile of latency, of type Value",
    "keda-rps=24": "KEDA on requests a second per pod",
    "kpa=0.9": "Knative on requests in flight per worker",
    "llmd": "llm-d's SLO-aware law; llmd=0.55,0.40 for other shares of the target to go up and down at",
    "static=12": "always that many pods",
    "static-peak": "always as many as the highest load needs",
    "static-mean": "always as many as the mean load needs",
    "oracle": "the fewest pods that carry what is coming: what cannot be had, to compare with",
}
"""An example of each kind, and what it is."""
LEAST = 0.001
"""Kubernetes counts metrics in thousandths."""
CPU_PERCENTS = range(40, 81, 5)
LATENCY_SHARES = (0.6, 0.7, 0.8, 0.9, 1.0)
"""Of the promised target."""
LOAD_SHARES = (0.4, 0.5, 0.6, 0.7, 0.8)
"""Of the requests a second at which a pod's workers are busy all the time."""
CONCURRENCIES = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
BANDS = ((0.55, 0.40), (0.65, 0.50), (0.75, 0.60), (0.85, 0.70), (0.95, 0.80))
"""The published one, and higher ones: its authors say to raise it where the target is close to the idle latency."""


def parse(text: str) -> Factory:
    """The policy that `text` names. Raises ConfigurationError, which lists what there is."""
    kind, _, value = text.partition("=")
    if found := re.fullmatch(r"keda-p(\d{1,2}(?:\.\d+)?)", kind):
        percentile = _number(text, found[1], at_most=99.999)
        return _of(text, keda.latency(percentile, _seconds(text, value)))
    match kind:
        case "hpa-cpu":
            return _of(text, hpa.cpu(_whole(text, value)))
        case "keda-rps":
            return _of(text, keda.requests(_number(text, value)))
        case "kpa":
            per_worker = _number(text, value)
            return lambda scenario: Kpa(text, per_worker * scenario.service.workers)
        case "llmd" if "=" not in text:
            return lambda _: llmd.policy(text)
        case "llmd":
            up, down = _band(text, value)
            return lambda _: llmd.policy(text, up, down)
        case "static":
            replicas = _whole(text, value)
            return lambda _: Static(text, replicas)
        case "perfslo" | "oracle" | "static-peak" | "static-mean" if "=" not in text:
            return lambda scenario: _simulated(text, scenario)
        case _:
            raise ConfigurationError(f"there is no policy {text!r}; there are {_listed()}")


def grid(scenario: Scenario) -> tuple[str, ...]:
    """The rivals at all the settings that they are compared at."""
    target_ms = scenario.target_seconds * 1000
    full_rps = scenario.service.workers / scenario.service.worker_seconds
    return (
        *(f"hpa-cpu={percent}" for percent in CPU_PERCENTS),
        *(f"keda-p{scenario.percentile:g}={share * target_ms:.4g}ms" for share in LATENCY_SHARES),
        *(f"keda-rps={share * full_rps:.4g}" for share in LOAD_SHARES),
        *(f"kpa={value:g}" for value in CONCURRENCIES),
        *(f"llmd={up:g},{down:g}" for up, down in BANDS),
    )


def _simulated(kind: str, scenario: Scenario) -> Policy:
    # These need numba, which the others, and whoever only asks what there is, do not.
    from perfslo.simulate.policies.oracle import Oracle, simulated
    from perfslo.simulate.policies.perfslo import Perfslo

    if kind == "perfslo":
        return Perfslo(scenario)
    oracle = Oracle(kind, scenario, simulated)
    if kind == "oracle":
        return oracle
    return Static(kind, oracle.needed_always() if kind == "static-peak" else oracle.needed_on_average())


def _of(name: str, metric: hpa.Metric) -> Factory:
    return lambda _: hpa.Hpa(name, metric)


def _number(text: str, value: str, at_most: float = 1e6) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not LEAST <= number <= at_most:
        raise ConfigurationError(f"{text!r} needs a number of 0.001 to {at_most:g}, as in {_listed()}")
    return number


def _whole(text: str, value: str) -> int:
    number = _number(text, value)
    if number != int(number):
        raise ConfigurationError(f"{text!r} needs a whole number after the =, as in {_listed()}")
    return int(number)


def _seconds(text: str, value: str) -> float:
    try:
        seconds = duration_seconds(value)
    except ValueError:
        seconds = 0.0
    if seconds < LEAST:
        raise ConfigurationError(f"{text!r} needs a duration of 1ms or more with its unit after the =: 200ms or 0.2s")
    return seconds


def _band(text: str, value: str) -> tuple[float, float]:
    parts = value.split(",")
    if len(parts) != 2:
        raise ConfigurationError(f"{text!r} needs two shares of the target after the =, as in llmd=0.55,0.40")
    up, down = (_number(text, part) for part in parts)
    if not down < up < llmd.CLAMP:
        raise ConfigurationError(f"{text!r}: the first share must be the higher one, and below {llmd.CLAMP:g}")
    return up, down


def _listed() -> str:
    return "; ".join(f"{example} ({what})" for example, what in USAGE.items())
