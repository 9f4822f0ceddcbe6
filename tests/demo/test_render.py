"""Rendered manifests are YAML with the values in their places, whatever is in these."""

from typing import Any

import pytest
import yaml

from demo import render


def by_kind(text: str) -> dict[str, Any]:
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def test_the_service_carries_its_behaviour_and_workers() -> None:
    manifests = by_kind(render.service("checkout", replicas=3, workers=4, behaviour={"wait_ms": 60}))
    assert manifests["ConfigMap"]["data"]["behaviour.json"] == '{"wait_ms": 60}'
    assert manifests["Deployment"]["spec"]["replicas"] == 3
    container = manifests["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "WORKERS", "value": "4"} in container["env"]


def test_a_rate_file_survives_as_it_is() -> None:
    rates = "t_seconds,rps\n# \"quotes\": and 'more'\n0,1\n5,0\n"
    manifests = by_kind(render.load("load", rates=rates, url="http://checkout/", threshold_ms=170))
    assert manifests["ConfigMap"]["data"]["rates.csv"] == rates
    command = manifests["Pod"]["spec"]["containers"][0]["command"]
    assert command[-3:] == ["http://checkout/", "--threshold-ms=170", "--scale=1.0"]


@pytest.mark.parametrize(("scrape_seconds", "timeout"), [(2, "2s"), (15, "10s"), (60, "10s")])
def test_the_scrape_interval_is_chosen(scrape_seconds: int, timeout: str) -> None:
    manifests = by_kind(render.prometheus("monitoring", scrape_seconds=scrape_seconds))
    config = yaml.safe_load(manifests["ConfigMap"]["data"]["prometheus.yml"])
    assert config["global"] == {"scrape_interval": f"{scrape_seconds}s", "scrape_timeout": timeout}
    assert manifests["ClusterRoleBinding"]["subjects"][0]["namespace"] == "monitoring"
