"""Fills in the manifests: each function returns YAML for `kubectl apply --namespace ... -f -`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template

MANIFESTS = Path(__file__).parent / "manifests"
DEMO_IMAGE = "localhost/perfslo/demo:dev"
PROMETHEUS_IMAGE = "localhost/perfslo/prometheus:dev"


def service(
    name: str,
    *,
    image: str = DEMO_IMAGE,
    replicas: int = 2,
    workers: int = 2,
    behaviour: Mapping[str, float] | None = None,
) -> str:
    """The web service; `behaviour` has any of `cpu_ms`, `wait_ms`, `cv`, `fail_ratio` (see demo/app/settings.py)."""
    return _fill(
        "service",
        name=name,
        image=image,
        replicas=replicas,
        workers=workers,
        behaviour=_quoted(json.dumps(behaviour or {})),
    )


def load(
    name: str,
    *,
    rates: str,
    url: str,
    threshold_ms: float,
    scale: float = 1.0,
    image: str = DEMO_IMAGE,
) -> str:
    """A pod that replays the text of a rate file against `url` once, its rates multiplied by `scale`."""
    return _fill(
        "load", name=name, image=image, url=url, rates=_quoted(rates), threshold_ms=f"{threshold_ms:g}", scale=scale
    )


def prometheus(namespace: str, *, scrape_seconds: int = 15, image: str = PROMETHEUS_IMAGE) -> str:
    """Prometheus at http://prometheus.NAMESPACE:9090, which reads every pod of the cluster that is annotated for it."""
    return _fill(
        "prometheus",
        namespace=namespace,
        image=image,
        scrape_seconds=scrape_seconds,
        timeout_seconds=min(10, scrape_seconds),
        cadvisor_seconds=max(10, scrape_seconds),
    )


def _quoted(text: str) -> str:
    """A JSON string is a YAML scalar, whatever is in it."""
    return json.dumps(text)


def _fill(manifest: str, **values: object) -> str:
    return Template((MANIFESTS / f"{manifest}.yaml").read_text()).substitute(values)
