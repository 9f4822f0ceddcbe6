"""What the chart renders, and what it will not: compared with golden files, as parsed YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
import yaml

from perfslo.api.v1alpha1 import SignalKind
from perfslo.core.promql import Matcher
from perfslo.core.signals import Per
from perfslo.edges import presets
from perfslo.settings import load
from tests.conftest import ROOT
from tests.helm.render import CASES, CHART, GOLDEN, documents, golden, helm, rendered, template

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("case", CASES)
def test_renderings_are_as_agreed(case: str) -> None:
    agreed = list(yaml.safe_load_all(golden(case).read_text()))
    assert rendered(case) == agreed, "if that is what you meant: make golden, and commit the difference"


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


def test_the_chart_is_without_lint() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ("cycleSecond: 5", "cycleSecond"),
        ("cycleSeconds: 5s", "/cycleSeconds"),
        ("cycleSeconds: 0", "/cycleSeconds"),
        ("replicas: 0", "/replicas"),
        ("levers: [replica]", "/levers/0"),
        ("logLevel: verbose", "/logLevel"),
        ("databases: {pg: {}}", "maxConnections"),
        ("databases: {Pg: {maxConnections: 9}}", "Pg"),
        ("databases: {pg: {maxConnections: 0}}", "/databases/pg/maxConnections"),
        ("databases: {pg: {maxConnections: 9, statistics: {query: up}}}", "query"),
        ("databases: {pg: {maxConnections: 9, statistics: {matchers: [{label: a-b, value: x}]}}}", "/matchers/0/label"),
        ("hooks: {cdn: {url: http://x, namespace: shop}}", "secret"),
        ("hooks: {cdn: {url: http://x, secret: {name: x, key: x}}}", "namespace"),
        ("hooks: {cdn: {url: ftp://x, namespace: shop, secret: {name: x, key: x}}}", "/hooks/cdn/url"),
        (
            "hooks: {cdn: {url: http://x, namespace: a, secret: {name: x, key: x}, timeoutSeconds: 9}}",
            "/timeoutSeconds",
        ),
        ("watch: {namespace: [shop]}", "namespace"),
        ("scaleKinds: [{kind: Rollout}]", "/scaleKinds/0"),
        ("scaleKinds: [{group: argoproj.io, version: v1, kind: rollout, resource: rollouts}]", "/scaleKinds/0/kind"),
        ("scaleKinds: [{group: argoproj.io, version: v1, kind: Rollout, resource: rollouts/scale}]", "/resource"),
        ("prometheus: {source: {default: {address: http://x}}}", "source"),
        ("prometheus: {sources: {default: {adress: http://x}}}", "address"),
        ("prometheus: {sources: {default: {address: prometheus:9090}}}", "/address"),
        ("prometheus: {sources: {Default: {address: http://x}}}", "Default"),
        ("prometheus: {sources: {default: {address: http://x, bearerTokenSecret: {name: x}}}}", "key"),
        ("prometheus: {sources: {default: {address: http://user:pass@x}}}", "/address"),
        ("prometheus: {sources: {default: {address: http://x, bearerToken: x}}}", "bearerToken"),
        ("prometheus: {sources: {default: {address: http://x, headers: {X-A: 1}}}}", "/headers/X-A"),
        ("prometheus: {sources: {default: {address: http://x, headerSecrets: {../x: {name: x, key: x}}}}}", "../x"),
        ("prometheus: {sources: {default: {address: http://x, headerSecrets: {X-A: x}}}}", "/headerSecrets/X-A"),
        ("prometheus: {sources: {default: {address: http://x, basicAuth: {username: x}}}}", "passwordSecret"),
        (
            "prometheus: {sources: {default: {address: http://x, basicAuth: {passwordSecret: {name: x, key: x}}}}}",
            "user",
        ),
        ("prometheus: {sources: {default: {address: http://x, basicAuth: {username: x, password: x}}}}", "password"),
        (
            "prometheus: {sources: {default: {address: http://x, bearerTokenSecret: {name: x, key: x}, "
            "basicAuth: {username: x, passwordSecret: {name: x, key: x}}}}}",
            "/prometheus/sources/default",
        ),
        ("prometheus: {signals: {pg: {kind: DependencyLatency}}}", "query"),
        ("prometheus: {signals: {pg: {kind: Latency, query: x}}}", "/signals/pg/kind"),
        ("prometheus: {signals: {Pg: {kind: PoolWait, query: x}}}", "Pg"),
        ("prometheus: {signals: {pg: {kind: PoolWait, query: x, unit: ms}}}", "unit"),
        ("presets: {Own: {histogram: x}}", "Own"),
        ("presets: {custom: {histogram: x}}", "custom"),
        ("presets: {own: {}}", "histogram"),
        ("presets: {own: {histogram: a b}}", "/presets/own/histogram"),
        ("presets: {own: {histogram: x, unit: minutes}}", "/presets/own/unit"),
        ("presets: {own: {histogram: x, by: {pod: {}, labels: {namespaceLabel: a, nameLabels: [b]}}}}", "/by"),
        ("presets: {own: {histogram: x, failed: {label: code, regex: x}}}", "label"),
        ("image: {repo: x}", "repo"),
        ("rules: {kind: prometheusrule}", "/rules/kind"),
        ("prometheus: {sources: {default: {address: http://x, recordedRequests: often}}}", "/recordedRequests"),
        ("admissionPolicy: {enabled: maybe}", "/admissionPolicy/enabled"),
    ],
)
def test_a_typo_in_the_values_is_refused(values: str, complaint: str) -> None:
    done = template(values)
    assert done.returncode != 0
    assert "don't meet the specifications of the schema" in done.stderr
    assert complaint in done.stderr


@pytest.mark.parametrize(
    ("levers", "changes"),
    [
        ("[replicas]", False),
        ("[]", False),
        ("[cache]", True),
        ("[cdn]", True),
        ("[database]", True),
        ("[offload]", True),
    ],
)
def test_configmaps_are_reached_only_by_levers_that_change_them(levers: str, changes: bool) -> None:
    every = documents(f"levers: {levers}")
    rules = [rule for each in every if each["kind"] == "ClusterRole" for rule in each["rules"]]
    assert any("configmaps" in rule["resources"] for rule in rules) is changes
    policies = [each["metadata"]["name"] for each in every if each["kind"] == "ValidatingAdmissionPolicy"]
    assert ("perfslo-system-perfslo-consent" in policies) is changes


def test_crds_are_those_of_the_source_and_stay_when_the_release_goes() -> None:
    of_the_chart = {
        each["metadata"]["name"]: each for each in documents("") if each["kind"] == "CustomResourceDefinition"
    }
    of_the_source = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")]
    assert set(of_the_chart) == {each["metadata"]["name"] for each in of_the_source}
    for each in of_the_source:
        installed = of_the_chart[each["metadata"]["name"]]
        assert installed["spec"] == each["spec"]
        assert installed["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.parametrize("case", CASES)
def test_secrets_are_mounted_as_files_and_never_put_into_the_environment(case: str) -> None:
    text = yaml.safe_dump_all(rendered(case))
    assert "secretKeyRef" not in text
    assert "envFrom" not in text


def test_the_schema_has_the_kinds_and_scopes_of_the_models() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    signal = schema["properties"]["prometheus"]["properties"]["signals"]["additionalProperties"]["properties"]
    assert signal["kind"]["enum"] == [*get_args(SignalKind)]
    assert signal["per"]["enum"] == [*get_args(Per)]


def test_what_is_rendered_are_settings_that_the_operator_takes(tmp_path: Path) -> None:
    for case in CASES:
        (settings,) = [
            each["data"]["settings.yaml"] for each in rendered(case) if "settings.yaml" in each.get("data", {})
        ]
        file = tmp_path / "settings.yaml"
        file.write_text(settings)
        load(file)


def test_own_presets_are_read_by_the_operator(tmp_path: Path) -> None:
    """The mounted files, through the operator's own reader."""
    every = rendered("own-presets")
    settings, own = (
        each["data"] for each in every if each["kind"] == "ConfigMap" and each["metadata"]["name"].startswith("perfslo")
    )
    for name, text in own.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "settings").write_text(settings["settings.yaml"])
    assert load(tmp_path / "settings").presets_dir == Path("/etc/perfslo/presets")
    found = presets.load(tmp_path)
    assert found["checkout-rpc"].description == 'Says "so" in its own words'
    assert found["nginx-ingress"].fixed == (Matcher("namespace", "=", "edge"),)
    assert set(found) == {*presets.load(), "checkout-rpc"}
    (deployment,) = (each["spec"]["template"]["spec"] for each in every if each["kind"] == "Deployment")
    assert {"name": "presets", "mountPath": "/etc/perfslo/presets", "readOnly": True} in (
        deployment["containers"][0]["volumeMounts"]
    )
    assert {"name": "presets", "configMap": {"name": "perfslo-presets"}} in deployment["volumes"]


def test_the_operator_starts_anew_when_a_preset_changes() -> None:
    def hash_with(values: str) -> str:
        (deployment,) = (each for each in documents(values) if each["kind"] == "Deployment")
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["perfslo.io/settings-hash"])

    assert hash_with("presets: {own: {histogram: a}}") != hash_with("presets: {own: {histogram: b}}")


def test_without_levers_nothing_but_reports_and_claims_can_be_written() -> None:
    (role,) = [
        each
        for each in rendered("no-levers")
        if (each["kind"], each["metadata"]["name"]) == ("ClusterRole", "perfslo-system-perfslo")
    ]
    writable = {
        resource
        for rule in role["rules"]
        for resource in rule["resources"]
        if set(rule["verbs"]) - {"get", "list", "watch"}
    }
    assert writable == {"performanceslos/status", "events", "leverclaims"}
