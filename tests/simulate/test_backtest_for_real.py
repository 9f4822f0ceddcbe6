"""The command against a real Prometheus that remembers simulated pods, whose service is known."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from perfslo.cli import backtest
from perfslo.edges.prometheus.client import Client
from perfslo.errors import QueryRejected
from perfslo.settings import Source
from perfslo.simulate.model import Load, Service
from tests.edges.exporter import Exporter
from tests.edges.prometheus_process import prometheus
from tests.simulate.recorded import METRIC, SLO, exposition, scrapes

pytestmark = pytest.mark.cluster
LOAD = Load((0.0, 600.0, 2400.0), (40.0, 40.0, 150.0))
PODS = ((0.0, 4), (1200.0, 6))


@pytest.fixture(scope="module")
def remembered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, float]]:
    """The address of a Prometheus that has 40 minutes of it, and when they began."""
    origin = float((time.time() - LOAD.duration_seconds) // 60 * 60 - 60)
    text = [exposition(Service(), list(scrapes(Service(), LOAD, PODS)), origin)]
    page = Exporter({"/past": lambda: text[0]})
    job = {
        "job_name": "past",
        "honor_labels": True,
        "metrics_path": "/past",
        "static_configs": [{"targets": [page.address]}],
    }
    with page, prometheus(tmp_path_factory.mktemp("prometheus"), [job], interval="5s") as address:
        deadline = time.monotonic() + 60
        ask = {"query": f"count({METRIC}_count)", "time": str(origin + LOAD.duration_seconds)}
        while not requests.get(f"{address}/api/v1/query", ask, timeout=5).json()["data"]["result"]:
            assert time.monotonic() < deadline, "the past was not scraped"
            time.sleep(0.2)
        text[0] = "# nothing more\n"
        yield address, origin


@pytest.fixture
def slo(tmp_path: Path) -> Path:
    path = tmp_path / "slo.yaml"
    path.write_text(SLO)
    return path


def at(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat()


def test_a_range_is_read_step_by_step(remembered: tuple[str, float]) -> None:
    address, origin = remembered
    client = Client(Source(address=address))
    (curve,) = client.query_range(f"count({METRIC}_count)", origin + 600, origin + 1800, 60)
    assert [time for time, _ in curve.points] == [origin + 600 + 60 * step for step in range(21)]
    assert [curve.points[0][1], curve.points[-1][1]] == [4.0, 6.0]
    with pytest.raises(QueryRejected):
        client.query_range("sum(", origin, origin + 60, 60)


def test_what_would_have_happened(
    remembered: tuple[str, float], slo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address, origin = remembered
    out = tmp_path / "out"
    span = ["--from", at(origin), "--to", at(origin + LOAD.duration_seconds)]
    status = backtest.run(["-f", str(slo), "--prometheus", address, *span, "--out", str(out)])
    printed, errors = capsys.readouterr()
    assert status == 0, errors
    assert "shop/checkout, 40 minutes from" in printed
    assert "workers per pod explain the slow requests" in printed
    rows = {row["policy"]: row for row in json.loads((out / "results.json").read_text())}
    assert list(rows) == ["observed", "as-it-was", "perfslo", "oracle"]
    seen, again = rows["observed"], rows["as-it-was"]
    assert seen["replica_minutes"] == pytest.approx(6 * 20 + 4 * 14, abs=3)  # the first six minutes are not judged
    assert again["replica_minutes"] == pytest.approx(seen["replica_minutes"], rel=0.03)
    assert again["bad_ratio"] == pytest.approx(seen["bad_ratio"], abs=0.01)
    assert not rows["perfslo"]["failed"]
    assert (out / "checkout.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "hours_ago", "said"),
    [
        ("checkout", 48, "has no request series of shop/checkout in this range"),
        ("somebody", 0, "has no request series of shop/checkout in this range"),
    ],
)
def test_nothing_to_go_by_is_said(
    remembered: tuple[str, float],
    slo: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    hours_ago: float,
    said: str,
) -> None:
    address, origin = remembered
    slo.write_text(SLO.replace("name: checkout}\n", f"name: {name}}}\n"))
    start = origin - hours_ago * 3600
    span = ["--from", at(start), "--to", at(start + LOAD.duration_seconds)]
    assert backtest.run(["-f", str(slo), "--prometheus", address, *span]) == 1
    assert said in capsys.readouterr().err
