"""Fills in the manifests: each function returns YAML for `kubectl apply --namespace ... -f -`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template

MANIFESTS = Path(__file__).parent / "manifests"
DEMO_IMAGE = "localhost/perfslo/demo:dev"
STORES_IMAGE = "localhost/perfslo/stores:dev"
PROMETHEUS_IMAGE = "localhost/perfslo/prometheus:dev"


def service(
    name: str,
    *,
    image: str = DEMO_IMAGE,
    replicas: int = 2,
    workers: int = 2,
    behaviour: Mapping[str, float] | None = None,
    flags: Mapping[str, str] | None = None,
    flags_of: str = "",
    with_stores: bool = False,
    cpu_request: str = "10m",
    cpu_limit: str = "",
) -> str:
    """The web service; `behaviour` has fields of demo/app/settings.py, `flags` keys of demo/app/flags.py.

    It may follow the flags of another service. With stores, it looks things up in those that `stores` makes. A
    `cpu_limit` such as 200m throttles it.
    """
    limits = {"memory": "160Mi"} | ({"cpu": cpu_limit} if cpu_limit else {})
    return _fill(
        "service",
        name=name,
        image=image,
        replicas=replicas,
        workers=workers,
        behaviour=_quoted(json.dumps(behaviour or {})),
        flags=json.dumps(flags or {}),
        flags_of=flags_of or name,
        database_url="postgresql://nobody@database:6432/shop" if with_stores else "",
        redis_url="redis://redis:6379" if with_stores else "",
        cpu_request=cpu_request,
        limits=json.dumps(limits),
    )


def stores(*, max_connections: int = 100, redis_replicas: int = 1, image: str = STORES_IMAGE) -> str:
    """Redis, and PostgreSQL behind a PgBouncer that takes `max_connections` clients."""
    return _fill(
        "stores",
        image=image,
        max_connections=max_connections,
        server_connections=max_connections + 10,
        redis_replicas=redis_replicas,
    )


def workers(name: str, *, of: str, replicas: int = 1, image: str = DEMO_IMAGE) -> str:
    """Background workers `name` for the heavy work of the service `of`."""
    return _fill("worker", name=name, service=of, replicas=replicas, image=image)


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
