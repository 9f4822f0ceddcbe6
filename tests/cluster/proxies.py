"""Real proxies in a stage's namespace, with routes for them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from perfslo.core.model import JSON
from perfslo.settings import RouteKind
from tests.cluster.stage import Stage
from tests.conftest import Cluster, cluster_py

ENVOY_GATEWAY, ENVOY, TRAEFIK = (f"localhost/perfslo/{name}:dev" for name in ("envoy-gateway", "envoy", "traefik"))
TRAEFIK_SERVICE = RouteKind(group="traefik.io", version="v1alpha1", kind="TraefikService", resource="traefikservices")


def shared_promise(backends: Iterable[str], threshold_ms: float, **traffic: object) -> JSON:
    """Of a service behind the route `shared`, whose replicas are recommended only; `traffic` is more of its lever."""
    return {
        "scaleTargetRef": None,
        "minReplicas": 1,
        "maxReplicas": 12,
        "objectives": [{"name": "p95", "latency": {"percentile": 95, "threshold": f"{threshold_ms}ms"}}],
        "levers": {
            "replicas": {"mode": "Recommend"},
            "traffic": shared_traffic(backends, **traffic),
        },
    }


def shared_traffic(backends: Iterable[str], **more: object) -> JSON:
    """The lever: each backend has the Deployment of its name."""
    reference = {"apiVersion": "apps/v1", "kind": "Deployment"}
    return {"backends": [{"name": name, "scaleTargetRef": {**reference, "name": name}} for name in backends], **more}


@dataclass(frozen=True)
class Proxy:
    """`entrance` is the Service that takes requests; `route` is a manifest that shares them among these backends."""

    entrance: str
    kind: str
    weights: tuple[str, ...]
    """Where they are in the route, as a path."""
    manifests: list[JSON]

    def route(self, stage: Stage) -> JSON:
        found: JSON = stage.get(self.kind, "shared")
        return found

    def shares(self, stage: Stage) -> dict[str, float]:
        """By backend, as weights say."""
        backends = self.route(stage)["spec"]
        for step in self.weights:
            backends = backends[int(step)] if step.isdigit() else backends[step]
        total = sum(backend["weight"] for backend in backends)
        return {backend["name"]: backend["weight"] / total for backend in backends}


def definitions(cluster: Cluster, *files: Path) -> None:
    """Applied, served, and left there: other test processes may be using them."""
    for file in files:
        cluster.kubectl(
            "apply", "--server-side", "--force-conflicts", "--field-manager=perfslo-tests", f"--filename={file}"
        )


@contextmanager
def envoy_gateway(stage: Stage, backends: Mapping[str, int]) -> Iterator[Proxy]:
    """Envoy Gateway from its own chart, one Gateway, and an HTTPRoute `shared` with these weights."""
    chart = Path(cluster_py("source", "envoy-gateway"), "charts/gateway-helm")
    kinds = chart / "charts/crds/crds"
    definitions(stage.cluster, kinds / "gatewayapi-crds.yaml", kinds / "generated")
    name = stage.namespace
    container = {"image": ENVOY, "imagePullPolicy": "Never", "resources": {"requests": {"cpu": "50m"}}}
    kubernetes = {
        "envoyService": {"type": "ClusterIP", "name": "entrance"},
        "envoyDeployment": {"container": container},
    }
    values = {
        "global": {"images": {"envoyGateway": {"image": ENVOY_GATEWAY, "pullPolicy": "Never"}}},
        "crds": {"enabled": False},
        "topologyInjector": {"enabled": False},
        "config": {
            "envoyGateway": {
                "gateway": {"controllerName": f"gateway.envoyproxy.io/{name}"},
                "provider": {
                    "type": "Kubernetes",
                    "kubernetes": {
                        "watch": {"type": "Namespaces", "namespaces": [name]},
                        "deploy": {"type": "ControllerNamespace"},
                    },
                },
                "envoyProxy": {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}},
            }
        },
    }
    manifests: list[JSON] = [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": name},
            "spec": {"controllerName": f"gateway.envoyproxy.io/{name}"},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "gateway"},
            "spec": {"gatewayClassName": name, "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]},
        },
        http_route(backends),
    ]
    with TemporaryDirectory() as scratch:
        _install(stage, _chart(chart, Path(scratch)), values)
    try:
        _apply(stage, manifests)
        stage.eventually("Envoy is ready", lambda: _endpoints(stage, "entrance"), seconds=180)
        yield Proxy("entrance", "httproute", ("rules", "0", "backendRefs"), manifests)
    finally:
        stage.cluster.kubectl("delete", "gatewayclass", name, "--ignore-not-found", "--wait=false")
        stage.kubectl("delete", "gateway", "gateway", "--ignore-not-found", "--wait=false")
        stage.cluster.helm("uninstall", name, f"--namespace={name}", "--ignore-not-found")


@contextmanager
def traefik(stage: Stage, backends: Mapping[str, int]) -> Iterator[Proxy]:
    """Traefik with its own kinds: an IngressRoute, and a TraefikService `shared` with these weights."""
    definitions(
        stage.cluster,
        Path(
            cluster_py("source", "traefik"),
            "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",
        ),
    )
    manifests = [
        *_traefik(stage.namespace),
        {
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "TraefikService",
            "metadata": {"name": "shared"},
            "spec": {
                "weighted": {
                    "services": [{"name": name, "port": 80, "weight": weight} for name, weight in backends.items()]
                }
            },
        },
        {
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "IngressRoute",
            "metadata": {"name": "shared"},
            "spec": {
                "entryPoints": ["web"],
                "routes": [
                    {
                        "kind": "Rule",
                        "match": "PathPrefix(`/`)",
                        "services": [{"kind": "TraefikService", "name": "shared"}],
                    }
                ],
            },
        },
    ]
    _apply(stage, manifests)
    stage.eventually("Traefik is ready", lambda: _endpoints(stage, "entrance"), seconds=120)
    yield Proxy("entrance", "traefikservice.traefik.io", ("weighted", "services"), manifests)


def http_route(backends: Mapping[str, int]) -> JSON:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shared"},
        "spec": {
            "parentRefs": [{"name": "gateway"}],
            "rules": [
                {
                    "name": "main",
                    "backendRefs": [
                        {"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight}
                        for name, weight in backends.items()
                    ],
                }
            ],
        },
    }


def _traefik(namespace: str) -> list[JSON]:
    labels = {"app": "traefik"}
    rules = [
        {"apiGroups": [""], "resources": ["services", "secrets", "configmaps"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        {"apiGroups": ["traefik.io"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
    ]
    arguments = [
        "--entrypoints.web.address=:8000",
        "--entrypoints.traefik.address=:8081",
        "--ping=true",
        "--providers.kubernetescrd=true",
        f"--providers.kubernetescrd.namespaces={namespace}",
        "--providers.kubernetescrd.disableclusterscoperesources=true",
        # Without it, a backend that has no endpoints takes the whole weighted service with it.
        "--providers.kubernetescrd.allowemptyservices=true",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    ]
    container = {
        "name": "traefik",
        "image": TRAEFIK,
        "imagePullPolicy": "Never",
        "args": arguments,
        "ports": [{"name": "web", "containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/ping", "port": 8081}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
    }
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "traefik"}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "traefik"},
            "rules": rules,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "traefik"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "traefik"},
            "subjects": [{"kind": "ServiceAccount", "name": "traefik", "namespace": namespace}],
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "traefik"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"serviceAccountName": "traefik", "containers": [container]},
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "entrance"},
            "spec": {"selector": labels, "ports": [{"name": "web", "port": 80, "targetPort": "web"}]},
        },
    ]


def _chart(published: Path, scratch: Path) -> Path:
    """The chart as it is released: in the module, two of its values are still to be filled in."""
    chart = scratch / published.name
    shutil.copytree(published, chart, copy_function=shutil.copyfile)
    text = (chart / "values.tmpl.yaml").read_text()
    (chart / "values.yaml").write_text(
        text.replace("${GatewayImage}", ENVOY_GATEWAY).replace("${GatewayImagePullPolicy}", "Never")
    )
    return chart


def _install(stage: Stage, chart: Path, values: JSON) -> None:
    stage.cluster.helm(
        "install", stage.namespace, str(chart), f"--namespace={stage.namespace}", "--values=-", "--skip-crds", "--wait",
        "--timeout=300s", input=json.dumps(values),
    )  # fmt: skip


def _apply(stage: Stage, manifests: list[JSON]) -> None:
    stage.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))


def _endpoints(stage: Stage, service: str) -> bool:
    slices = stage.get("endpointslices", f"--selector=kubernetes.io/service-name={service}")["items"]
    return any(endpoint["conditions"].get("ready") for each in slices for endpoint in each.get("endpoints") or ())
