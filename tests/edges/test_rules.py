"""The chart's rules in a real Prometheus: accepted, evaluated without error, and right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import yaml

from perfslo.edges import rules
from perfslo.edges.prometheus.client import Client
from perfslo.settings import Source
from tests.arch.repository import ROOT
from tests.edges.exporter import Exporter
from tests.edges.prometheus_process import prometheus

pytestmark = pytest.mark.cluster

FILES = ROOT / "helm/perfslo/files/rules"
PATIENCE_SECONDS = 60
BAD = {"burning": 0.6, "fine": 0.01}
"""Share of bad requests by SLO; each promises 95 % over 28 days."""


def exposition(now: float) -> str:
    """What the operator exposes, and has exposed for half an hour."""
    lines = []
    for name, bad in BAD.items():
        slo = f'namespace="shop",name="{name}"'
        lines += [
            f"perfslo_window_seconds{{{slo}}} {28 * 86400}",
            f'perfslo_objective_allowed_bad_ratio{{{slo},objective="p95"}} 0.05',
            f'perfslo_error_budget_remaining_ratio{{{slo},objective="p95"}} {1 - bad / 0.05}',
        ]
        for moment in range(int(now) - 1800, int(now), 15):
            done, at = 10 * (moment - int(now) + 1800), moment * 1000
            lines.append(f'perfslo_requests_total{{{slo},objective="p95"}} {done} {at}')
            lines.append(f'perfslo_bad_requests_total{{{slo},objective="p95"}} {done * bad} {at}')
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    page, started = exposition(time.time()), tmp_path_factory.mktemp("prometheus")
    for file in FILES.iterdir():
        groups = yaml.safe_load(file.read_text())["groups"]
        every_second = {"groups": [{**group, "interval": "1s"} for group in groups]}
        (started / file.name).write_text(yaml.safe_dump(every_second))
    with Exporter({"/": lambda: page}) as exporter:
        # As a ServiceMonitor has it: the operator's own namespace is a label of the target.
        labels = {"__metrics_path__": "/", "namespace": "perfslo-system", "pod": "perfslo-0"}
        job: dict[str, Any] = {
            "job_name": "perfslo",
            "static_configs": [{"targets": [exporter.address], "labels": labels}],
        }
        config: dict[str, Any] = {
            "rule_files": [f"{started}/*.yaml"],
            "storage": {"tsdb": {"out_of_order_time_window": "1h"}},
        }
        with prometheus(started, [job], interval="5s", **config) as address:
            client = Client(Source(address=address))
            _until(lambda: len(client.query("count_over_time(perfslo_requests_total[1h])").rows) == len(BAD))
            yield client
            client.close()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def values(client: Client, query: str) -> dict[str, float]:
    """By SLO."""
    return {row.labels["name"]: row.value for row in client.query(query).rows}


def test_rules_for_requests_are_what_the_presets_make() -> None:
    assert {path: (ROOT / path).read_text() for path in rules.render()} == rules.render()


def test_every_rule_is_evaluated_without_error(client: Client) -> None:
    address = client._connect.url

    def evaluated() -> list[dict[str, Any]]:
        groups = requests.get(f"{address}/api/v1/rules", timeout=10).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    _until(lambda: all(rule["health"] != "unknown" for rule in evaluated()))
    assert len(evaluated()) > 20
    assert [rule["lastError"] for rule in evaluated() if rule["health"] != "ok"] == []


def test_the_numbers_are_those_of_the_slos(client: Client) -> None:
    _until(lambda: len(values(client, "slo:period_burn_rate:ratio")) == len(BAD))
    for window in ("5m", "30m", "1h"):
        assert values(client, f"slo:sli_error:ratio_rate{window}") == pytest.approx(BAD, rel=0.001)
    _until(lambda: len(values(client, "slo:sli_error:ratio_rate3d")) == len(BAD))
    for window in ("2h", "6h", "1d", "3d"):
        assert values(client, f"slo:sli_error:ratio_rate{window}") == pytest.approx(BAD, rel=0.001)
    assert values(client, "slo:sli_error:ratio_rate4w") == pytest.approx(BAD)
    assert values(client, "slo:sli_error:ratio_rate30d") == {}, "these are of 28 days"
    assert values(client, "slo:objective:ratio") == pytest.approx(dict.fromkeys(BAD, 0.95))
    assert values(client, "slo:error_budget:ratio") == pytest.approx(dict.fromkeys(BAD, 0.05))
    assert values(client, "slo:time_period:days") == dict.fromkeys(BAD, 28)
    assert values(client, "slo:current_burn_rate:ratio") == pytest.approx({"burning": 12.0, "fine": 0.2}, rel=0.001)
    assert values(client, "slo:period_burn_rate:ratio") == pytest.approx({"burning": 12.0, "fine": 0.2})
    remaining = values(client, "slo:period_error_budget_remaining:ratio")
    assert remaining == pytest.approx({"burning": -11.0, "fine": 0.8})
    (info, _) = client.query("sort(sloth_slo_info)").rows
    assert info.labels["namespace"] == "shop", "not that of the operator"
    assert info.labels["sloth_service"] in ("shop/burning", "shop/fine")
    assert info.labels["sloth_id"] in ("shop-burning-p95", "shop-fine-p95")
    assert (info.labels["sloth_slo"], info.labels["sloth_objective"]) == ("p95", "95")


def test_limits_can_be_reached_by_a_loose_promise(client: Client) -> None:
    _until(lambda: len(client.query("perfslo:sli_error_limit:ratio").rows) == 4 * len(BAD))
    limits = {
        row.labels["long_window"]: row.value for row in client.query('perfslo:sli_error_limit:ratio{name="fine"}').rows
    }
    factors = {"1h": 13.44, "6h": 5.6, "1d": 2.8, "3d": 1.0}
    assert limits == pytest.approx({window: 0.05 * f / (1 + (f - 1) * 0.05) for window, f in factors.items()})
    assert max(limits.values()) < BAD["burning"]


def test_what_burns_is_told_at_both_speeds_and_what_does_not_is_not(client: Client) -> None:
    _until(lambda: len(client.query('ALERTS{alertstate="firing"}').rows) == 2)
    alerts = [row.labels for row in client.query('ALERTS{alertstate="firing"}').rows]
    assert {(alert["name"], alert["sloth_severity"], alert["severity"]) for alert in alerts} == {
        ("burning", "page", "critical"),
        ("burning", "ticket", "warning"),
    }
