"""Static assets that are taken away from the service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo import render
from tests.cluster.scenes import STATIC_REQUESTS
from tests.cluster.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.long]

SECRET = "s3cret"


def test_a_cdn_takes_the_static_requests_when_they_are_what_is_slow(stage: Stage) -> None:
    with STATIC_REQUESTS.befallen(stage) as shop:
        stage.eventually("it is turned on", lambda: shop.flag("CDN") == "on", seconds=120)
        stage.eventually("it is found to have helped", lambda: shop.verdicts() == ["Improved"], seconds=180)
        shop.keeps_its_promise()
        (switch,) = shop.switches()
        assert (switch["lever"], switch["from"], switch["to"]) == ("cdn", "off", "on")

        stage.kubectl("delete", "perfslo", "shop")
        stage.eventually("it is turned off again", lambda: shop.flag("CDN") == "off", seconds=60)


def test_a_provider_is_told_by_its_hook_once_each_way(stage: Stage) -> None:
    provide(stage)
    hook = {
        "url": f"http://provider.{stage.namespace}:8080/cdn",
        "namespace": stage.namespace,
        "secret": {"name": "hook", "key": "secret"},
    }
    lever = {"hook": "cdn", "confirm": "cdn-on", "warmupSeconds": 5}
    scene = replace(STATIC_REQUESTS, levers={"cdn": lever}, chart={"hooks": {"cdn": hook}})
    with scene.calm(stage) as shop:
        assert "POST" not in {request["method"] for request in requests(stage)}
        scene.befalls(shop)
        stage.eventually("it is told", lambda: told(stage) == ["on"], seconds=120)
        stage.kubectl("patch", "configmap/shop-flags", '--patch={"data": {"CDN": "on"}}')  # as the CDN would
        stage.eventually("it is found to have helped", lambda: shop.verdicts() == ["Improved"], seconds=180)
        shop.keeps_its_promise()

        stage.kubectl("delete", "perfslo", "shop")
        stage.eventually("it is told again", lambda: told(stage) == ["on", "off"], seconds=60)
        stage.eventually("and that is forgotten", lambda: not stage.get("leverclaims")["items"], seconds=30)
        assert {request["status"] for request in requests(stage)} == {200, 503}, "each was signed"
        print(*(request for request in requests(stage) if request["method"] == "POST"), sep="\n")


def provide(stage: Stage) -> None:
    """Run provider.py in a pod, behind a Service."""
    labels = {"app": "provider"}
    script = {"provider.py": (Path(__file__).parent / "provider.py").read_text()}
    pod = {
        "containers": [
            {
                "name": "provider",
                "image": render.DEMO_IMAGE,
                "command": ["python", "/opt/provider.py"],
                "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 2},
                "volumeMounts": [
                    {"name": "script", "mountPath": "/opt"},
                    {"name": "secret", "mountPath": "/etc/hook"},
                ],
            }
        ],
        "volumes": [
            {"name": "script", "configMap": {"name": "provider"}},
            {"name": "secret", "secret": {"secretName": "hook"}},
        ],
    }
    for made in (
        item("Secret", "hook", stringData={"secret": SECRET}),
        item("ConfigMap", "provider", data=script),
        item("Service", "provider", spec={"selector": labels, "ports": [{"port": 8080}]}),
        item("Pod", "provider", labels, spec=pod),
    ):
        stage.apply(json.dumps(made))
    stage.kubectl("wait", "pod/provider", "--for=condition=Ready", "--timeout=60s")


def item(kind: str, name: str, labels: Mapping[str, str] | None = None, **content: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": labels or {}}} | content


def requests(stage: Stage) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stage.kubectl("logs", "provider", "--tail=-1").splitlines()]


def told(stage: Stage) -> list[str]:
    """What it was made to hold, a decision at a time; the same decision may come more than once."""
    return [*{request["key"]: request["value"] for request in requests(stage) if request["key"]}.values()]
