"""Routes of each kind, as the API server returns them."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from perfslo.core.model import JSON

Weights = Mapping[str, int | None]
"""By backend; None is written nowhere."""


def _meta(kind: str, api_version: str, spec: JSON, **metadata: Any) -> JSON:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": "checkout",
            "namespace": "shop",
            "uid": "u-1",
            "resourceVersion": "7",
            "generation": 3,
            **metadata,
        },
        "spec": deepcopy(spec),
    }


def http_route(*rules: Weights, names: tuple[str, ...] = (), **metadata: Any) -> JSON:
    """Rule i matches the path /i; it has a name where `names` has one."""
    return _meta(
        "HTTPRoute",
        "gateway.networking.k8s.io/v1",
        {
            "parentRefs": [{"name": "gateway"}],
            "rules": [
                {
                    **({"name": names[index]} if index < len(names) and names[index] else {}),
                    "matches": [{"path": {"type": "PathPrefix", "value": f"/{index}"}}],
                    "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}],
                    "backendRefs": [
                        {"group": "", "kind": "Service", "name": name, "port": 80, **_weight(weight)}
                        for name, weight in weights.items()
                    ],
                }
                for index, weights in enumerate(rules)
            ],
        },
        **metadata,
    )


def virtual_service(
    *rules: Weights, names: tuple[str, ...] = (), domain: str = ".shop.svc.cluster.local", **metadata: Any
) -> JSON:
    return _meta(
        "VirtualService",
        "networking.istio.io/v1",
        {
            "hosts": ["checkout"],
            "http": [
                {
                    **({"name": names[index]} if index < len(names) and names[index] else {}),
                    "match": [{"uri": {"prefix": f"/{index}"}}],
                    "retries": {"attempts": 2},
                    "route": [
                        {"destination": {"host": f"{name}{domain}"}, **_weight(weight)}
                        for name, weight in weights.items()
                    ],
                }
                for index, weights in enumerate(rules)
            ],
        },
        **metadata,
    )


def traefik_service(weights: Weights, **metadata: Any) -> JSON:
    return _meta(
        "TraefikService",
        "traefik.io/v1alpha1",
        {"weighted": {"services": [{"name": n, "port": 80, **_weight(w)} for n, w in weights.items()]}},
        **metadata,
    )


def ingress(service: str, annotations: Mapping[str, str] | None = None, *, name: str = "checkout") -> JSON:
    route = _meta(
        "Ingress",
        "networking.k8s.io/v1",
        {
            "rules": [
                {
                    "host": "shop.example.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": service, "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ]
        },
        annotations={f"nginx.ingress.kubernetes.io/{key}": value for key, value in (annotations or {}).items()},
    )
    route["metadata"]["name"] = name
    return route


def canary(service: str, weight: int | None, total: int | None = None) -> JSON:
    annotations = {"canary": "true", "canary-weight": weight, "canary-weight-total": total}
    return ingress(service, {key: str(value) for key, value in annotations.items() if value is not None})


def _weight(weight: int | None) -> JSON:
    return {} if weight is None else {"weight": weight}
