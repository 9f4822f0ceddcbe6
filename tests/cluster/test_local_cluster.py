"""The local cluster is what its users count on: real pods, DNS, Services, logs, and the numbers of real containers."""

import json
import re
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.conftest import Cluster, cluster_py

pytestmark = pytest.mark.cluster

_WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: localhost/perfslo/demo:dev
          imagePullPolicy: Never
          command: [python3, -m, http.server, "8080", --directory, /srv]
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
          resources: {limits: {cpu: 100m, memory: 64Mi}, requests: {cpu: 10m}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""


@pytest.fixture(scope="module")
def web(cluster: Cluster) -> Iterator[str]:
    """The namespace of a small web server behind a NodePort."""
    with cluster.namespace() as namespace:
        cluster.kubectl("apply", "-n", namespace, "-f", "-", input=_WEB)
        cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=90s")
        _answers(_node_port(cluster, namespace))
        yield namespace


def test_a_pod_reaches_a_service_by_its_name(cluster: Cluster, web: str) -> None:
    script = "import urllib.request; print(urllib.request.urlopen('http://web/', timeout=20).status)"
    assert cluster.kubectl("exec", "-n", web, "deploy/web", "--", "python3", "-c", script).stdout.strip() == "200"


def test_a_node_port_answers_on_this_machine_and_the_request_is_in_the_logs(cluster: Cluster, web: str) -> None:
    with urllib.request.urlopen(f"{_node_port(cluster, web)}?who=test", timeout=20) as answer:
        assert answer.status == 200
    logs = cluster.kubectl("logs", "-n", web, "deploy/web", "--all-pods=true", "--tail=-1").stdout
    assert "who=test" in logs


def test_the_kubelet_measures_containers(cluster: Cluster, web: str) -> None:
    node = cluster.get("nodes")["items"][0]["metadata"]["name"]
    wanted = (
        "container_cpu_usage_seconds_total",
        "container_cpu_cfs_throttled_periods_total",
        "container_spec_cpu_quota",
        "container_memory_working_set_bytes",
    )
    deadline = time.monotonic() + 60
    while True:
        numbers = cluster.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/cadvisor").stdout
        missing = [
            name for name in wanted if not re.search(rf'^{name}{{container="web",.*namespace="{web}"', numbers, re.M)
        ]
        if not missing or time.monotonic() > deadline:
            break
        time.sleep(2)
    assert missing == []


def test_the_audit_log_keeps_the_body_of_a_scale_request(cluster: Cluster, web: str) -> None:
    patch = '[{"op":"test","path":"/spec/replicas","value":2},{"op":"replace","path":"/spec/replicas","value":1}]'
    cluster.kubectl("patch", "deployment/web", "-n", web, "--subresource=scale", "--type=json", "-p", patch)
    with open(cluster_py("audit-log")) as log:
        events = [json.loads(line) for line in log if web in line and '"verb":"patch"' in line]
    bodies = [event["requestObject"] for event in events if event["objectRef"].get("subresource") == "scale"]
    assert json.loads(patch) in bodies


def _node_port(cluster: Cluster, namespace: str) -> str:
    port = cluster.get("service", "web", "-n", namespace)["spec"]["ports"][0]["nodePort"]
    return f"http://127.0.0.1:{port}/"


def _answers(url: str) -> None:
    """kube-proxy follows the endpoints a moment after the pods are ready: until then the Service refuses."""
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=20).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return
