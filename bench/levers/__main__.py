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
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from bench.cluster.rivals import metrics_server
from tests.cluster import scenes
from tests.cluster.backends import BACKENDS, REPLICAS, SLOWER, Shared, loaded, opened
from tests.cluster.extras import hpa
from tests.cluster.proxies import TRAEFIK_SERVICE, traefik
from tests.cluster.scenes import Scene
from tests.cluster.shop import Shop
from tests.cluster.stage import Load, Stage, staged
from tests.conftest import Cluster, cluster_py, serve_crds

RESULTS = Path(__file__).with_name("results.json")
CPU_REQUEST, CPU_PERCENT = "60m", 80
"""Two pods use a little more than half of it while nothing is the matter."""
PLAYED_SECONDS, JUDGED_SECONDS = 180, 60
PATIENCE_SECONDS = 600
LOOK_SECONDS = 5


@dataclass(frozen=True)
class Stood:
    """A service under load that somebody keeps, and what may befall it."""

    befalls: Callable[[], None]
    load: Callable[[], Load]
    replicas: Callable[[], int]
    settings: Callable[[], Mapping[str, str]]
    """Besides replicas, all that a lever may write."""
    operated: Stage | None = None
    """By perfslo."""


Keeper = Callable[[Stage], AbstractContextManager[Stood]]


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


def _of_shop(scene: Scene) -> dict[str, Keeper]:
    scene = replace(scene, shop={**scene.shop, "cpu_request": CPU_REQUEST})

    def stood(shop: Shop) -> Stood:
        def befalls() -> None:
            scene.must_be_calm(shop)
            scene.befalls(shop)

        def settings() -> Mapping[str, str]:
            workers = {"workers": str(shop.stage.replicas("deployment/workers"))} if scene.with_workers else {}
            return {**shop.flags(), **workers}

        return Stood(befalls, lambda: shop.load, shop.replicas, settings)

    @contextmanager
    def perfslo(stage: Stage) -> Iterator[Stood]:
        with scene.calm(stage) as shop:
            yield replace(stood(shop), operated=stage)

    @contextmanager
    def hpa_cpu(stage: Stage) -> Iterator[Stood]:
        shop = scene.built(stage)
        shop.stand()
        shop.begin()
        bounds = {"minReplicas": 2, "maxReplicas": 6, **scene.spec}
        stage.apply(hpa("shop", least=bounds["minReplicas"], most=bounds["maxReplicas"], cpu_percent=CPU_PERCENT))
        with shop.quick_kubelet():
            yield stood(shop)  # perfslo's takes longer to know what is usual

    return {"perfslo": perfslo, "hpa-cpu": hpa_cpu}


def _of_three_backends() -> dict[str, Keeper]:
    def stood(shared: Shared) -> Stood:
        def weights() -> dict[str, str]:
            return {name: f"{share:.0%}" for name, share in shared.proxy.shares(shared.stage).items()}

        def slower() -> None:
            shared.stage.behave("one", SLOWER)

        return Stood(slower, lambda: shared.load, lambda: sum(shared.replicas().values()), weights)

    @contextmanager
    def perfslo(stage: Stage) -> Iterator[Stood]:
        with opened(stage, traefik, TRAEFIK_SERVICE) as shared:
            yield replace(stood(shared), operated=stage)

    @contextmanager
    def hpa_cpu(stage: Stage) -> Iterator[Stood]:
        with loaded(stage, traefik) as shared:
            for name in BACKENDS:
                stage.apply(hpa(name, least=REPLICAS, most=6, cpu_percent=CPU_PERCENT))
            yield stood(shared)

    return {"perfslo": perfslo, "hpa-cpu": hpa_cpu}


SCENES = {name: _of_shop(scene) for name, scene in scenes.SCENES.items()} | {"one slow backend": _of_three_backends()}


def play(cluster: Cluster, keepers: Mapping[str, Keeper]) -> dict[str, Seen]:
    """Under all of them at once: what they share is the machine."""
    together = Barrier(len(keepers))

    def under(keeper: Keeper) -> Seen:
        try:
            with staged(cluster) as stage, keeper(stage) as stood:
                together.wait(PATIENCE_SECONDS)
                before = stood.replicas()
                stood.befalls()
                return _watched(stood, before)
        except BaseException:
            together.abort()
            raise

    with ThreadPoolExecutor(len(keepers)) as players:
        played = {name: players.submit(under, keeper) for name, keeper in keepers.items()}
    return {name: one.result() for name, one in played.items()}


def _watched(stood: Stood, before: int) -> Seen:
    load = stood.load()
    begin, replicas, found = load.now(), list[int](), list[str]()
    values: dict[str, list[str]] = {}
    for _ in range(PLAYED_SECONDS // LOOK_SECONDS):
        replicas.append(stood.replicas())
        for key, value in {"replicas": str(replicas[-1]), **stood.settings()}.items():
            if values.setdefault(key, [value])[-1] != value:
                values[key].append(value)
        found += [matter for matter in _matters(stood) if matter not in found]
        time.sleep(LOOK_SECONDS)
    load.wait_until(begin + PLAYED_SECONDS)
    return Seen(
        round(load.over_ratio(begin, begin + JUDGED_SECONDS), 4),
        round(load.over_ratio(begin + PLAYED_SECONDS - JUDGED_SECONDS, begin + PLAYED_SECONDS), 4),
        [before, max(replicas), replicas[-1]],
        found,
        [f"{key} {'->'.join(each)}" for key, each in values.items() if len(each) > 1],
    )


def _matters(stood: Stood) -> list[str]:
    """What the operator says, where there is one."""
    said = stood.operated.status("shop").get("summary", {}).get("bottleneck") if stood.operated else ""
    return [said] if said else []


def report(found: Mapping[str, Any]) -> str:
    """A table for people."""
    lines = [
        "| scene | kept by | bad, first minute | last minute | replicas | done |",
        "| --- | --- | ---: | ---: | --- | --- |",
    ]
    for name, seen in found.items():
        for keeper in ("perfslo", "hpa-cpu"):
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
            try:
                seen = play(cluster, SCENES[name])
            except (pytest.fail.Exception, BrokenBarrierError) as reason:
                print(f"{name}: could not be played: {reason}", flush=True)
                continue
            found[name] = {"day": time.strftime("%Y-%m-%d"), **{keeper: asdict(one) for keeper, one in seen.items()}}
            options.results.write_text(json.dumps(found, indent=1) + "\n")
            print(report({name: found[name]}), flush=True)
    print(report(found))


if __name__ == "__main__":
    main()
