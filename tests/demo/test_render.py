"""Rendered manifests are YAML with the values in their places, whatever is in these."""

from typing import Any

import pytest
import yaml

from demo import render


def by_kind(text: str) -> dict[str, Any]:
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def by_name(text: str) -> dict[str, Any]:
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in yaml.safe_load_all(text)}


def test_the_service_carries_its_behaviour_and_workers() -> None:
    manifests = by_name(render.service("checkout", replicas=3, workers=4, behaviour={"wait_ms": 60}))
    assert manifests["ConfigMap/checkout-behaviour"]["data"]["behaviour.json"] == '{"wait_ms": 60}'
    assert manifests["Deployment/checkout"]["spec"]["replicas"] == 3
    container = manifests["Deployment/checkout"]["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "WORKERS", "value": "4"} in container["env"]
    assert {"name": "DATABASE_URL", "value": ""} in container["env"]


def test_flags_are_in_a_configmap_that_the_operator_may_change() -> None:
    manifests = by_name(render.service("checkout", flags={"CACHE_TIER": "none"}, cpu_limit="200m"))
    flags = manifests["ConfigMap/checkout-flags"]
    assert (flags["data"], flags["metadata"]["labels"]["perfslo.io/managed"]) == ({"CACHE_TIER": "none"}, "true")
    container = manifests["Deployment/checkout"]["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"memory": "160Mi", "cpu": "200m"}


def test_the_service_finds_its_stores_and_the_workers_its_behaviour() -> None:
    env = by_name(render.service("checkout", with_stores=True))["Deployment/checkout"]["spec"]["template"]["spec"][
        "containers"
    ][0]["env"]
    stores = by_name(render.stores(max_connections=7, redis_replicas=0))
    assert {"name": "DATABASE_URL", "value": "postgresql://nobody@database:6432/shop"} in env
    assert stores["Service/database"]["spec"]["ports"] == [{"port": 6432}]
    assert "max_client_conn = 7" in stores["ConfigMap/pgbouncer"]["data"]["pgbouncer.ini"]
    assert stores["Deployment/redis"]["spec"]["replicas"] == 0
    pod = by_name(render.workers("packers", of="checkout"))["Deployment/packers"]["spec"]["template"]["spec"]
    assert pod["volumes"] == [{"name": "behaviour", "configMap": {"name": "checkout-behaviour"}}]


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
