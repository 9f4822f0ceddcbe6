"""The generated CRDs: structural, described, bounded, and up to date."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from perfslo.api import crd, generated, reference
from perfslo.api.v1alpha1 import MAX_MEMORY_BYTES
from tests.api.manifests import EXAMPLES, WHOLE

BOTH = pytest.mark.parametrize("definition", [crd.performanceslos(), crd.leverclaims()], ids=["slo", "claim"])
Node = tuple[str, dict[str, Any]]


def schema(definition: dict[str, Any]) -> dict[str, Any]:
    root: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


def nodes(path: str, node: dict[str, Any]) -> Iterator[Node]:
    """Every part of a schema with its path."""
    yield path, node
    for name, part in node.get("properties", {}).items():
        yield from nodes(f"{path}.{name}".removeprefix("."), part)
    if "items" in node:
        yield from nodes(f"{path}[]", node["items"])


def fields(definition: dict[str, Any]) -> list[Node]:
    """Those that belong to the resource, without what the API server owns."""
    return [node for node in nodes("", schema(definition)) if node[0].split(".")[0] in {"spec", "status"}]


@BOTH
def test_every_part_is_structural(definition: dict[str, Any]) -> None:
    foreign = {"$ref", "title", "const", "additionalProperties", "nullable", "prefixItems", "allOf", "oneOf"}
    for path, node in nodes("", schema(definition)):
        assert not foreign & node.keys(), path
        assert ("anyOf" in node) == ("x-kubernetes-int-or-string" in node), path
        assert "type" in node or "anyOf" in node, path
        assert node.get("type") != "number", f"{path}: the API has no floats"


@BOTH
def test_every_field_is_described(definition: dict[str, Any]) -> None:
    for path, node in fields(definition):
        if not path.endswith("[]") or node["type"] == "object":
            assert node.get("description"), path
            assert "\n" not in node["description"], path


@BOTH
def test_every_size_is_bounded(definition: dict[str, Any]) -> None:
    for path, node in fields(definition):
        match node.get("type"):
            case "string" if "enum" not in node:
                assert node["maxLength"] <= MAX_MEMORY_BYTES, path
            case "array":
                assert node["maxItems"] <= 20, path
            case "integer" if path.startswith("spec"):
                assert {"minimum", "maximum"} <= node.keys(), path


@BOTH
def test_every_rule_says_what_to_write(definition: dict[str, Any]) -> None:
    rules = [rule for _, node in nodes("", schema(definition)) for rule in node.get("x-kubernetes-validations", [])]
    assert rules
    for rule in rules:
        assert len(rule["message"]) > 20
        assert "\n" not in rule["message"]


def test_lists_of_named_things_are_told_apart_by_name() -> None:
    found = {
        path: node["x-kubernetes-list-map-keys"]
        for path, node in fields(crd.performanceslos())
        if node.get("x-kubernetes-list-type") == "map"
    }
    assert found == {
        "spec.objectives": ["name"],
        "spec.metrics.signals": ["name"],
        "spec.levers.traffic.backends": ["name"],
        "spec.levers.cache.tiers": ["name"],
        "status.conditions": ["type"],
        "status.objectives": ["name"],
        "status.signals": ["name"],
        "status.levers": ["name"],
        "status.backends": ["name"],
    }


def test_columns_are_scalars_of_the_schema() -> None:
    known = {f".{path}" for path, node in fields(crd.performanceslos()) if node.get("type") == "string"}
    for column in crd.SLO_COLUMNS:
        assert column is crd.AGE or column.path in known, column.name
    assert [column.name.upper() for column in crd.SLO_COLUMNS if not column.wide] == [
        "TARGET", "STATE", "P95", "OBJECTIVE", "REPLICAS", "BUDGET", "BOTTLENECK", "LAST ACTION", "MODE", "AGE",
    ]  # fmt: skip
    assert [column.name.upper() for column in crd.SLO_COLUMNS if column.wide] == [
        "P50", "P99", "RPS", "ERRORS", "CPU", "THROTTLED", "MEMORY", "MEM LIMIT", "DISK", "NETWORK", "DESIRED", "COST",
    ]  # fmt: skip


def test_the_full_example_has_every_field() -> None:
    written = {
        path
        for example in EXAMPLES
        if example.name in WHOLE
        for path in _written("spec", yaml.safe_load(example.read_text())["spec"])
    }
    assert {path for path, _ in fields(crd.performanceslos()) if path.startswith("spec")} - written == set()


def _written(path: str, value: Any) -> Iterator[str]:
    yield path
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _written(f"{path}.{name}", part)
    elif isinstance(value, list):
        for part in value:
            yield from _written(f"{path}[]", part)


@pytest.mark.parametrize("module", [crd, reference])
def test_what_is_generated_is_up_to_date(module: Any) -> None:
    assert generated.write_or_check(module.render(), ["--check"]) == 0


def test_check_names_what_differs_and_write_puts_it_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generated, "ROOT", tmp_path)
    files = {Path("a/b.yaml"): "text\n"}
    assert generated.write_or_check(files, ["--check"]) == 1
    assert "a/b.yaml: differs" in capsys.readouterr().err
    assert generated.write_or_check(files, ["--write"]) == 0
    assert generated.write_or_check(files, ["--check"]) == 0
    assert (tmp_path / "a/b.yaml").read_text() == "text\n"
    assert generated.write_or_check(files, []) == 2
