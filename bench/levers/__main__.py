"""Each scene on the real cluster, under perfslo and at the same time, beside it, under a stock HPA on CPU.

    make cluster images, then make bench-levers

Run it through make, which says where dev/cluster's modules are.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Barrier
from typing import Any

from bench.cluster.rivals import metrics_server
from tests.cluster.extras import hpa
from tests.cluster.scenes import SCENES, Scene
from tests.cluster.shop import Shop
from tests.cluster.stage import Stage, staged
from tests.conftest import Cluster, cluster_py, serve_crds

RESULTS = Path(__file__).with_name("results.json")
CPU_REQUEST, CPU_PERCENT = "60m", 80
"""Two pods use a little more than half of it while nothing is the matter."""
PLAYED_SECONDS, JUDGED_SECONDS = 180, 60
PATIENCE_SECONDS = 600
LOOK_SECONDS = 5

Keeper = Callable[[Scene, Stage], AbstractContextManager[Shop]]


@dataclass(frozen=True)
class Seen:
    """Of one scene under one keeper; bad is the share of requests that were slow or failed, by the load's record."""

    bad_at_first: float
    bad_at_last: float
    """In the first and the last minute."""
    replicas: list[int]
    """Before, at most, and in the end."""
    found: list[str]
    """What the operator said was the matter."""
    done: list[str]
    """What was written: replicas, and flags."""


@contextmanager
def _hpa(scene: Scene, stage: Stage) -> Iterator[Shop]:
    shop = scene.built(stage)
    shop.stand()
    shop.begin()
    bounds = {"minReplicas": 2, "maxReplicas": 6, **scene.spec}
    stage.apply(hpa("shop", least=bounds["minReplicas"], most=bounds["maxReplicas"], cpu_percent=CPU_PERCENT))
    with shop.quick_kubelet():
        yield shop  # perfslo's takes longer to know what is usual


KEEPERS: Mapping[str, Keeper] = {"perfslo": Scene.calm, "hpa-cpu": _hpa}


def play(cluster: Cluster, scene: Scene) -> dict[str, Seen]:
    """Under all keepers at once: what they share is the machine."""
    together = Barrier(len(KEEPERS))

    def under(keeper: Keeper) -> Seen:
        try:
            with staged(cluster) as stage, keeper(scene, stage) as shop:
                together.wait(PATIENCE_SECONDS)
                scene.befalls(shop)
                return _watched(shop)
        except BaseException:
            together.abort()
            raise

    with ThreadPoolExecutor(len(KEEPERS)) as players:
        played = {name: players.submit(under, keeper) for name, keeper in KEEPERS.items()}
    return {name: one.result() for name, one in played.items()}


def _watched(shop: Shop) -> Seen:
    begin, replicas, flags = shop.load.now(), [shop.replicas()], shop.flags()
    found, done = list[str](), list[str]()
    for _ in range(PLAYED_SECONDS // LOOK_SECONDS):
        time.sleep(LOOK_SECONDS)
        replicas.append(shop.replicas())
        if replicas[-1] != replicas[-2]:
            done.append(f"replicas {replicas[-2]}->{replicas[-1]}")
        before, flags = flags, shop.flags()
        done += [f"{key} {before[key]}->{value}" for key, value in flags.items() if value != before[key]]
        found += [matter for matter in _matters(shop.stage) if matter not in found]
    shop.load.wait_until(begin + PLAYED_SECONDS)
    return Seen(
        round(shop.load.over_ratio(begin, begin + JUDGED_SECONDS), 4),
        round(shop.load.over_ratio(begin + PLAYED_SECONDS - JUDGED_SECONDS, begin + PLAYED_SECONDS), 4),
        [replicas[0], max(replicas), replicas[-1]],
        found,
        done,
    )


def _matters(stage: Stage) -> list[str]:
    """What the operator says, where there is one."""
    summaries = [slo.get("status", {}).get("summary", {}) for slo in stage.get("perfslo")["items"]]
    return [summary["bottleneck"] for summary in summaries if summary.get("bottleneck")]


def report(found: Mapping[str, Any]) -> str:
    """A table for people."""
    lines = [
        "| scene | kept by | bad, first minute | last minute | replicas | done |",
        "| --- | --- | ---: | ---: | --- | --- |",
    ]
    for name, seen in found.items():
        for keeper in KEEPERS:
            one = seen[keeper]
            before, most, end = one["replicas"]
            at_most = f", {most} at most" if most > max(before, end) else ""
            cells = [
                name if keeper == "perfslo" else "",
                keeper,
                f"{one['bad_at_first']:.1%}",
                f"{one['bad_at_last']:.1%}",
                f"{before} -> {end}{at_most}",
                ", ".join(each for each in one["done"] if not each.startswith("replicas")),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.levers", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--scene", choices=SCENES, action="append", help="only this one; repeatable")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to add to (default: the committed one)")
    options = parser.parse_args()
    found: dict[str, Any] = json.loads(options.results.read_text()) if options.results.exists() else {}
    cluster = Cluster(Path(cluster_py("kubeconfig")), Path(cluster_py("bin")))
    serve_crds(cluster)
    with staged(cluster) as stage, metrics_server(stage):
        for name in options.scene or SCENES:
            scene = SCENES[name]
            seen = play(cluster, replace(scene, shop={**scene.shop, "cpu_request": CPU_REQUEST}))
            found[name] = {"day": time.strftime("%Y-%m-%d"), **{keeper: asdict(one) for keeper, one in seen.items()}}
            options.results.write_text(json.dumps(found, indent=1) + "\n")
            print(report({name: found[name]}), flush=True)
    print(report(found))


if __name__ == "__main__":
    main()
