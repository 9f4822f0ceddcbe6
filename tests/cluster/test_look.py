"""What `kubectl get`, `get -o wide` and `describe` show while the promise is being kept."""

import re

import pytest

from tests.cluster.stage import Stage

pytestmark = pytest.mark.cluster

COLUMNS = ["NAME", "TARGET", "STATE", "P95", "OBJECTIVE", "REPLICAS", "BUDGET", "BOTTLENECK", "LAST ACTION", "MODE"]
WIDE = ["P50", "P99", "RPS", "ERRORS", "CPU", "THROTTLED", "MEMORY", "MEM LIMIT", "DISK", "NETWORK", "DESIRED", "COST"]


def test_columns_and_story(stage: Stage) -> None:
    stage.prometheus()
    stage.service("checkout", replicas=1, behaviour={"wait_ms": 60, "cpu_ms": 1, "cv": 0.5})
    stage.operator()
    stage.load("checkout", "t_seconds,rps\n0,12\n600,0\n", threshold_ms=300)
    stage.slo("checkout", {"minReplicas": 2, "maxReplicas": 4, "cost": {"replicaHourly": "0.04"}})
    stage.eventually("two replicas, healthy, all of the load seen", lambda: settled(stage))

    rows = cells(stage.kubectl("get", "perfslo"))
    assert [*rows[0]] == [*COLUMNS, "AGE"]
    row = rows[0]
    assert row["TARGET"] == "Deployment/checkout"
    assert row["STATE"] == "Healthy"
    assert re.fullmatch(r"\d+(\.\d+)?m?s", row["P95"])
    assert (row["OBJECTIVE"], row["REPLICAS"], row["MODE"]) == ("p95<300ms", "2/2", "Auto")
    assert row["LAST ACTION"] == "replicas 1->2"

    wide = cells(stage.kubectl("get", "perfslo", "--output=wide"))[0]
    assert [*wide] == [*COLUMNS, *WIDE, "AGE"]
    assert re.fullmatch(r"\d+(\.\d+)?m?s", wide["P50"])
    assert re.fullmatch(r"\d+(\.\d+)?m?s", wide["P99"])
    assert float(wide["RPS"]) == pytest.approx(12, rel=0.5)
    assert (wide["ERRORS"], wide["DESIRED"], wide["COST"]) == ("0.0%", "2", "0.08")
    stage.eventually("the CPU is known, once the kubelet was read twice", lambda: "%" in cpu(stage))
    stage.eventually("memory and network are known as well", lambda: uses_memory_and_network(stage))

    story = stage.kubectl("describe", "perfslo", "checkout")
    for words in ("Ready", "SLOMet", "ObjectivesMet", "MetricsFound", "ScaleUp", "MinReplicas"):
        assert words in story, f"{words} is missing in:\n{story}"
    assert re.search(r"Normal\s+ScaleUp.*replicas 1->2", story), story
    explained = stage.kubectl("get", "perfslo", "checkout", "--output=jsonpath={.status.lastDecision.why}")
    assert "1 -> 2" in explained


def settled(stage: Stage) -> bool:
    summary = stage.status("checkout").get("summary", {})
    seen = float(summary.get("requestsPerSecond", "0"))
    return (summary.get("state"), summary.get("replicas"), seen > 9) == ("Healthy", "2/2", True)


def cpu(stage: Stage) -> str:
    return cells(stage.kubectl("get", "perfslo", "--output=wide"))[0]["CPU"]


def uses_memory_and_network(stage: Stage) -> bool:
    row = cells(stage.kubectl("get", "perfslo", "--output=wide"))[0]
    sizes = re.fullmatch(r"\d+(\.\d)?[KMG]i", row["MEMORY"]), re.fullmatch(r"\d+(\.\d)?k?B/s", row["NETWORK"])
    return all(sizes)


def cells(table: str) -> list[dict[str, str]]:
    """Rows of kubectl's table by header: columns are told apart by where their header begins."""
    header, *lines = table.rstrip("\n").split("\n")
    starts = [match.start() for match in re.finditer(r"\S+( \S+)*", header)]
    bounds = list(zip(starts, [*starts[1:], None], strict=True))
    return [{header[a:b].strip(): line[a:b].strip() for a, b in bounds} for line in lines]
