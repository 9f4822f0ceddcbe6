"""Injects faults into simulated services and counts what the operator takes them for.

python -m bench.diagnose --seeds 20 --save
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.diagnose.faults import BEGIN_SECONDS, END_SECONDS, FAULTS, LOAD, SEVERITIES
from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core.measure import Series
from perfslo.core.model import Bottleneck, Value
from perfslo.simulate.model import Scenario, View
from perfslo.simulate.policies.perfslo import Perfslo, Sight, promised
from perfslo.simulate.run import simulate
from perfslo.simulate.world import World

RESULTS = Path(__file__).parent / "results.json"
NOTHING = "nothing"
WELL = frozenset({
    Bottleneck.HEALTHY, Bottleneck.OVERPROVISIONED, Bottleneck.WARMING_UP, Bottleneck.UNKNOWN,
    Bottleneck.INSUFFICIENT_DATA, Bottleneck.NO_TRAFFIC,
})  # fmt: skip
"""No cause is named."""
NOISE = 0.05
"""Standard deviation of what signals say, over the mean."""


class Watched(Perfslo):
    """Perfslo with the signals of a database and a cache, and what it says while the fault lasts."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        spec = _with_signals(promised(scenario))
        super().__init__(scenario, spec=spec, sight=Signals(spec, seed))
        self.said: list[Bottleneck] = []

    def decide(self, view: View) -> int:
        wanted = super().decide(view)
        if self.decision and BEGIN_SECONDS <= view.now_seconds < END_SECONDS:
            self.said.append(self.decision.diagnosis.bottleneck)
        return wanted


class Signals(Sight):
    """With signals that tell of the dependency and of the cache."""

    def __init__(self, spec: PerformanceSLOSpec, seed: int) -> None:
        super().__init__(spec)
        self._chance = random.Random(seed)

    def series(self, world: World) -> Series:
        series, service = super().series(world), world.service
        if service.dependency is None:
            return series
        told = {
            "db": service.dependency.mean_seconds,
            "hits": service.hit_ratio,
            "wait": world.engine.dependency_wait_seconds,
        }
        seen = {name: Value(value * self._chance.gauss(1.0, NOISE), 5.0) for name, value in told.items()}
        return replace(series, signals=seen)


def _with_signals(spec: PerformanceSLOSpec) -> PerformanceSLOSpec:
    written = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    written["objectives"].append({"name": "errors", "errorRate": {"maxPercent": "5"}})
    written["metrics"] = {
        "signals": [
            {"name": "db", "kind": "DependencyLatency", "ref": "db"},
            {"name": "hits", "kind": "CacheHitRatio", "ref": "hits"},
            {"name": "wait", "kind": "PoolWait", "ref": "wait"},
        ]
    }
    return PerformanceSLOSpec.model_validate(written)


def verdict(said: Sequence[Bottleneck]) -> str:
    """The cause that was named most often."""
    named = Counter(one for one in said if one not in WELL)
    return named.most_common(1)[0][0].value if named else NOTHING


def run(fault: str, seed: int) -> tuple[str, str]:
    """The severity that was drawn, and the verdict."""
    chance = random.Random(f"{fault} {seed}")
    severity = chance.randrange(len(SEVERITIES))
    scenario = replace(FAULTS[fault].build(chance, severity), name=fault)
    watched = Watched(scenario, seed)
    simulate(scenario, watched, seed)
    return SEVERITIES[severity], verdict(watched.said)


def summary(rows: Sequence[Sequence[str]]) -> dict[str, float]:
    """Right verdicts among single faults of medium severity and up, and false ones where nothing is the matter."""
    load = {one.value for one in LOAD} | {NOTHING}
    felt = [(fault, found) for fault, severity, found in rows if FAULTS[fault].expected and severity != "mild"]
    benign = [found for fault, _, found in rows if not FAULTS[fault].expected]
    return {
        "right": sum(found in FAULTS[fault].expected for fault, found in felt) / max(1, len(felt)),
        "false": sum(found not in load for found in benign) / max(1, len(benign)),
    }


def table(rows: Sequence[Sequence[str]]) -> str:
    """The confusion matrix: what was done, and how often it was found to be what."""
    found = sorted({row[2] for row in rows})
    lines = ["| injected | severity | " + " | ".join(found) + " |", "| --- | --- |" + " --- |" * len(found)]
    for fault in FAULTS:
        for severity in SEVERITIES:
            counts = Counter(row[2] for row in rows if (row[0], row[1]) == (fault, severity))
            if counts:
                lines.append(f"| {fault} | {severity} | " + " | ".join(str(counts[f] or "") for f in found) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.diagnose", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--fault", action="append", choices=[*FAULTS])
    parser.add_argument("--save", action="store_true", help="write the committed results of these faults")
    arguments = parser.parse_args()
    chosen = arguments.fault or [*FAULTS]
    rows = [[fault, *run(fault, seed)] for fault in chosen for seed in range(arguments.seeds)]
    print(table(rows))
    print("\n" + ", ".join(f"{name} {share:.1%}" for name, share in summary(rows).items()))
    if arguments.save:
        rows += [row for row in json.loads(RESULTS.read_text()) if row[0] not in chosen]
        RESULTS.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
