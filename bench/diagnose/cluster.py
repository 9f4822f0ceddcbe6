"""What the operator takes real services on a real cluster for, when something befalls them.

    make bench-diagnose-cluster

Runs are added to those that are kept: stop it, and it goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from bench.diagnose import figures
from bench.diagnose.watched import verdict
from perfslo.core.model import Bottleneck
from tests.cluster import backends
from tests.cluster.proxies import TRAEFIK_SERVICE, traefik
from tests.cluster.scenes import SCENES, Scene
from tests.cluster.stage import SHORT, Stage, staged
from tests.conftest import Cluster, cluster_py, serve_crds

RESULTS = Path(__file__).with_name("cluster.json")
RUNS, AT_ONCE = 5, 3

Befall = Callable[[], None]


@dataclass(frozen=True)
class Class:
    """`calm` is a play in which nothing is the matter yet, and gives what makes it so."""

    calm: Callable[[Stage], AbstractContextManager[Befall]]
    expected: Sequence[Bottleneck]
    listened_cycles: int


@contextmanager
def _shop(scene: Scene, stage: Stage) -> Iterator[Befall]:
    with scene.calm(stage) as shop:
        scene.must_be_calm(shop)
        yield lambda: scene.befalls(shop)


@contextmanager
def _three_backends(stage: Stage) -> Iterator[Befall]:
    with backends.opened(stage, traefik, TRAEFIK_SERVICE):
        yield lambda: stage.behave("one", backends.SLOWER)


CLASSES: Mapping[str, Class] = {
    **{name: Class(partial(_shop, scene), scene.expected, scene.listened_cycles) for name, scene in SCENES.items()},
    "one slow backend": Class(_three_backends, [Bottleneck.BACKEND_SKEW], listened_cycles=30),
}


def named(cluster: Cluster, name: str) -> str:
    """The cause that is named most often from the moment on when it begins."""
    one, said = CLASSES[name], list[Bottleneck]()
    with staged(cluster) as stage, one.calm(stage) as befall, ThreadPoolExecutor(1) as other:
        befalling = other.submit(befall)
        for _ in range(one.listened_cycles):
            said.append(Bottleneck(stage.status("shop").get("summary", {}).get("bottleneck", Bottleneck.UNKNOWN)))
            time.sleep(SHORT.cycle_seconds)
        befalling.result()
    return verdict(said)


def measure(cluster: Cluster, wanted: Sequence[str], at_once: int) -> Iterator[tuple[str, str]]:
    """Each with what it was taken for, as they end. What could not be played is told and left out."""
    with ThreadPoolExecutor(at_once) as players:
        playing = {players.submit(named, cluster, name): name for name in wanted}
        for played in as_completed(playing):
            try:
                yield playing[played], played.result()
            except pytest.fail.Exception as reason:
                print(f"{playing[played]}: could not be played: {reason}", flush=True)


def right(name: str, found: Sequence[str]) -> int:
    """How many are."""
    return sum(one in CLASSES[name].expected for one in found)


def report(found: Mapping[str, Sequence[str]]) -> str:
    """The confusion matrix, and how much of it is right."""
    runs, hits = sum(map(len, found.values())), sum(right(*one) for one in found.items())
    return (
        f"{figures.matrix({name: Counter(each) for name, each in found.items()})}\n\nright: {figures.Share(hits, runs)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.diagnose.cluster", description=__doc__.splitlines()[0])
    parser.add_argument("--class", dest="classes", choices=CLASSES, action="append", help="only this one; repeatable")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each class, with those that are kept")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="plays side by side")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to add to (default: the committed one)")
    options = parser.parse_args()
    found: dict[str, list[str]] = json.loads(options.results.read_text()) if options.results.exists() else {}
    wanted = [
        name for run in range(options.runs) for name in options.classes or CLASSES if run >= len(found.get(name, ()))
    ]
    cluster = Cluster(Path(cluster_py("kubeconfig")), Path(cluster_py("bin")))
    serve_crds(cluster)
    for name, cause in measure(cluster, wanted, options.at_once):
        found.setdefault(name, []).append(cause)
        options.results.write_text(json.dumps({one: found[one] for one in CLASSES if one in found}, indent=1) + "\n")
        print(f"{time.strftime('%H:%M:%S')} {name}: {cause}", flush=True)
    print(report(found))


if __name__ == "__main__":
    main()
