"""What a real API server makes of the CRDs and of manifests, through kubectl."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from perfslo.api.v1alpha1 import BudgetStatus, Condition, PerformanceSLO, PerformanceSLOStatus, Summary
from tests.api.manifests import BASE, EXAMPLES, WHOLE, merged, table, text
from tests.conftest import CRDS, Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]


@pytest.fixture(scope="module")
def home(cluster: Cluster, crds: None) -> Iterator[str]:
    """One namespace for all tests that create nothing, or only what they delete."""
    with cluster.namespace() as name:
        yield name


def test_the_server_takes_the_crds_with_all_their_rules(cluster: Cluster) -> None:
    for name in CRDS:
        conditions = {c["type"]: c["status"] for c in cluster.get("crd", name)["status"]["conditions"]}
        assert conditions["Established"] == conditions["NamesAccepted"] == "True"
        assert conditions.get("NonStructuralSchema", "False") == "False"


@pytest.mark.parametrize("entry", table("bad"))
def test_bad_manifests_are_refused_with_what_to_write(entry: dict[str, Any], cluster: Cluster, home: str) -> None:
    done = cluster.kubectl("apply", "-n", home, "--server-side=false", "-f", "-", input=entry["manifest"], check=False)
    assert done.returncode == 1, done.stdout
    assert entry["says"] in done.stderr
    assert "estimated" not in done.stderr


@pytest.mark.parametrize("entry", table("good"))
def test_edges_of_the_good_are_accepted(entry: dict[str, Any], cluster: Cluster, home: str) -> None:
    done = cluster.kubectl("apply", "-n", home, "--dry-run=server", "-f", "-", input=entry["manifest"])
    assert "created (server dry run)" in done.stdout
    assert "Warning" not in done.stderr


def test_the_server_and_the_models_agree_on_junk_in_every_field(cluster: Cluster, home: str) -> None:
    manifests = {f"junk-{index}": manifest for index, manifest in enumerate(with_junk())}
    for name, manifest in manifests.items():
        manifest["metadata"] = {"name": name}
    done = cluster.kubectl(
        "create", "-n", home, "--dry-run=server", "-o", "name", "-f", "-",
        input="---\n".join(map(text, manifests.values())), check=False,
    )  # fmt: skip
    by_the_server = {line.rpartition("/")[2] for line in done.stdout.splitlines()}
    by_the_models = {name for name, manifest in manifests.items() if accepted(manifest)}
    assert len(manifests) > 1000
    assert {name: manifests[name]["spec"] for name in by_the_server ^ by_the_models} == {}
    assert by_the_server


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_accepted(path: Path, cluster: Cluster, home: str) -> None:
    done = cluster.kubectl("apply", "-n", home, "--dry-run=server", "-f", str(path))
    assert "performanceslo.perfslo.io/checkout created (server dry run)" in done.stdout
    assert "Warning" not in done.stderr


def test_the_server_fills_in_the_defaults_of_the_models(cluster: Cluster, home: str) -> None:
    written = merged(
        BASE, {"spec": {"minReplicas": None, "objectives": [{"name": "p95", "latency": {"percentile": 95}}]}}
    )
    applied = cluster.kubectl("create", "-n", home, "--dry-run=server", "-o", "json", "-f", "-", input=text(written))
    assert json.loads(applied.stdout)["spec"] == {
        **written["spec"],
        "mode": "Auto",
        "suspend": False,
        "minReplicas": 1,
        "objectives": [{"name": "p95", "primary": False, "latency": {"percentile": 95, "threshold": "200ms"}}],
        "window": "28d",
        "metrics": {"source": "default", "preset": "http-server", "minRequests": 100},
        "onDelete": {"replicas": "Keep", "others": "Restore"},
    }


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("perfslo", "A workload and what its users were promised."),
        ("perfslo.spec", "maxReplicas <integer> -required-"),
        ("perfslo.spec.objectives.latency.threshold", "Response time with its unit, such as 200ms or 1.5s."),
        ("perfslo.spec.mode", "ENUM: Auto Recommend"),
        ("perfslo.spec.levers.cache.tiers.flag", "perfslo.io/managed"),
        ("perfslo.status.summary.state", "One word for how the promise stands."),
        ("leverclaims.spec.field", "Field that is claimed, such as replicas."),
    ],
)
def test_kubectl_explains_every_field(field: str, said: str, cluster: Cluster) -> None:
    assert said in " ".join(cluster.kubectl("explain", field).stdout.split())


JUNK: tuple[Any, ...] = (None, "", "1.5", 0, 1, 10**7, 1.5, True, [], {}, "x" * 300)


def with_junk() -> Iterator[dict[str, Any]]:
    """The examples with every field of their specs replaced by, one after another, everything in JUNK."""
    for example in EXAMPLES:
        if example.name in WHOLE:
            manifest = yaml.safe_load(example.read_text())
            for path in paths(manifest["spec"]):
                yield from (replaced(manifest, ("spec", *path), junk) for junk in JUNK)


def paths(value: Any) -> Iterator[tuple[str | int, ...]]:
    """Path of every field and item."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (key,)
        yield from ((key, *rest) for rest in paths(part))


def replaced(manifest: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """A copy with another value at the path."""
    copy: dict[str, Any] = deepcopy(manifest)
    at: Any = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return copy


def accepted(manifest: dict[str, Any]) -> bool:
    """Whether the models accept what is written in YAML."""
    try:
        PerformanceSLO.model_validate(manifest, by_alias=True, by_name=False)
    except ValidationError:
        return False
    return True


STATUS = PerformanceSLOStatus(
    observed_generation=1,
    summary=Summary(
        target="Deployment/checkout", state="Breaching", p50="41ms", p95="312ms", p99="690ms", objective="p95<200ms",
        replicas="4/6", desired="6", requests_per_second="52.3", errors="0.2%", cpu="71%", budget="93.1%",
        throttled="12%", memory="412Mi", memory_of_limit="81%", disk="0B/s", network="3.4MB/s",
        bottleneck="Saturated", last_action="replicas 4->6", cost="0.24", observed_time="2026-01-01T00:00:00Z",
    ),
    conditions=(
        Condition(
            type="SLOMet", status="False", reason="Breaching", last_transition_time="2026-01-01T00:00:00Z",
            message="p95 312ms is above 200ms", observed_generation=1,
        ),
    ),
    budget=BudgetStatus(window="28d", remaining_percent="93.1"),
)  # fmt: skip


def columns(cluster: Cluster, namespace: str, *args: str) -> dict[str, str]:
    """Value by header of the one SLO, cut where the headers begin: a value may be empty, a header have a space."""
    header, row = cluster.kubectl("get", "perfslo", "-n", namespace, *args).stdout.splitlines()
    found = list(re.finditer(r"LAST ACTION|MEM LIMIT|\S+", header))
    ends = [*(match.start() for match in found[1:]), None]
    return {match[0]: row[match.start() : end].strip() for match, end in zip(found, ends, strict=True)}


def test_the_columns_are_empty_before_anything_is_known(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=text(BASE))
    shown = columns(cluster, namespace)
    assert shown.pop("NAME") == "checkout"
    assert shown.pop("MODE") == "Auto"
    assert shown.pop("AGE").endswith("s")
    assert set(shown.values()) == {""}


def test_the_columns_show_the_summary(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=text(BASE))
    status = STATUS.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    cluster.kubectl(
        "patch", "perfslo", "checkout", "-n", namespace, "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": status}),
    )  # fmt: skip
    assert cluster.get("perfslo", "checkout", "-n", namespace)["status"] == status

    narrow = columns(cluster, namespace)
    narrow.pop("AGE")
    assert narrow == {
        "NAME": "checkout", "TARGET": "Deployment/checkout", "STATE": "Breaching", "P95": "312ms",
        "OBJECTIVE": "p95<200ms", "REPLICAS": "4/6", "BUDGET": "93.1%", "BOTTLENECK": "Saturated",
        "LAST ACTION": "replicas 4->6", "MODE": "Auto",
    }  # fmt: skip
    wide = columns(cluster, namespace, "-o", "wide")
    wide.pop("AGE")
    assert wide == narrow | {
        "P50": "41ms", "P99": "690ms", "RPS": "52.3", "ERRORS": "0.2%", "CPU": "71%", "THROTTLED": "12%",
        "MEMORY": "412Mi", "MEM LIMIT": "81%", "DISK": "0B/s", "NETWORK": "3.4MB/s", "DESIRED": "6", "COST": "0.24",
    }  # fmt: skip


def test_a_status_in_a_manifest_is_not_taken(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl(
        "apply", "-n", namespace, "-f", "-", input=text(merged(BASE, {"status": {"summary": {"p95": "1ms"}}}))
    )
    assert "status" not in cluster.get("perfslo", "checkout", "-n", namespace)


def test_a_claim_is_kept_and_shown(cluster: Cluster, namespace: str) -> None:
    claim = {
        "apiVersion": "perfslo.io/v1alpha1",
        "kind": "LeverClaim",
        "metadata": {"name": "claim-1"},
        "spec": {
            "targetRef": {"group": "apps", "kind": "Deployment", "name": "checkout", "uid": "u-1"},
            "field": "replicas",
            "holder": {"name": "checkout", "uid": "u-2"},
            "originalValue": "2",
            "lastValue": "5",
            "lastWriteTime": "2026-01-01T00:00:00Z",
            "decisionID": "7f3a",
            "onDelete": "Keep",
        },
    }
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=text(claim))
    assert cluster.get("leverclaims", "claim-1", "-n", namespace)["spec"] == claim["spec"]
    shown = cluster.kubectl("get", "leverclaims", "-n", namespace, "--no-headers").stdout.split()
    assert shown[:-1] == ["claim-1", "Deployment", "checkout", "replicas", "checkout", "2", "5"]


def test_short_name_and_category(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("apply", "-n", namespace, "-f", "-", input=text(BASE))
    for name in ("perfslo", "slos", "performanceslos"):
        shown = cluster.kubectl("get", name, "-n", namespace, "-o", "name").stdout
        assert shown == "performanceslo.perfslo.io/checkout\n"
