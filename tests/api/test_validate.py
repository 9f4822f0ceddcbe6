"""`perfslo validate`: names the file, the document, the line and the fix."""

import io
from pathlib import Path
from typing import Any

import pytest
import yaml

from perfslo.__main__ import main
from tests.api.manifests import EXAMPLES, table

HEAD = "apiVersion: perfslo.io/v1alpha1\nkind: PerformanceSLO\nmetadata: {name: checkout}\n"
SPEC = """\
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: checkout}
  maxReplicas: 20
  objectives:
  - name: p95
    latency: {percentile: 95}
"""


class Validation:
    """What `perfslo validate` said of a file."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path, self._capsys = path, capsys

    def of(self, text: str) -> tuple[int, str]:
        """Exit code and output, without the name of the file."""
        self.path.write_text(text)
        code = main(["validate", str(self.path)])
        said = self._capsys.readouterr()
        return code, (said.out + said.err).replace(f"{self.path}:", "")


@pytest.fixture
def validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Validation:
    return Validation(tmp_path / "slo.yaml", capsys)


@pytest.mark.parametrize("entry", table("bad"))
def test_bad_manifests_are_refused_with_what_to_write(entry: dict[str, Any], validate: Validation) -> None:
    code, said = validate.of(entry["manifest"])
    assert code == 1
    assert entry.get("offline", entry["says"]) in said
    assert "document 1 (PerformanceSLO " in said
    line = int(said.partition(":")[0])
    assert 1 <= line <= len(entry["manifest"].splitlines())


@pytest.mark.parametrize("entry", table("good"))
def test_edges_of_the_good_are_accepted(entry: dict[str, Any], validate: Validation) -> None:
    code, said = validate.of(entry["manifest"])
    assert (code, said) == (0, f"1: document 1 (PerformanceSLO {_name(entry)}): valid\n")


def _name(entry: dict[str, Any]) -> str:
    return str(yaml.safe_load(entry["manifest"])["metadata"]["name"])


def test_examples_are_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", *map(str, EXAMPLES)]) == 0
    said = capsys.readouterr()
    assert said.out.count("(PerformanceSLO checkout): valid") == len(EXAMPLES)
    assert not said.err


def test_a_query_is_read_as_the_operator_will(validate: Validation) -> None:
    written = (
        HEAD
        + SPEC
        + """  metrics:
    preset: custom
    custom:
      queries:
        buckets: increase(x_bucket[$window])
        requests: rate(x_count[$windows])
"""
    )
    code, said = validate.of(written)
    assert code == 1
    line, *_ = said.splitlines()[0].split(": ")
    assert written.splitlines()[int(line) - 1].strip() == "requests: rate(x_count[$windows])"
    assert "spec.metrics.custom.queries.requests: not PromQL" in said
    assert "write [$window]" in said


def test_the_line_is_that_of_the_field(validate: Validation) -> None:
    written = HEAD + SPEC.replace("percentile: 95", "percentile: 100").replace("maxReplicas: 20", "minReplicas: x")
    assert validate.of(written)[1].splitlines() == [
        "4: document 1 (PerformanceSLO checkout): spec.maxReplicas: missing: write a whole number from 1 to 100000"
        " without quotes (Most replicas, of all backends together when they have targets of their own)",
        "6: document 1 (PerformanceSLO checkout): spec.minReplicas: 'x' will not do: write a whole number from 1 to"
        " 100000 without quotes (Fewest replicas, of all backends together when they have targets of their own)",
        "9: document 1 (PerformanceSLO checkout): spec.objectives[0].latency.percentile: 100 will not do: write a whole"
        " number from 1 to 99 without quotes (Percentile that must stay below the threshold: 95 means that P95 does."
        " For finer ones use proportionPercent)",
    ]


def test_every_broken_rule_is_named_where_it_is_broken(validate: Validation) -> None:
    broken = SPEC.replace("maxReplicas: 20", "maxReplicas: 20\n  minReplicas: 30\n  fallback:\n    minReplicas: 3")
    assert validate.of(HEAD + broken)[1].splitlines() == [
        "7: document 1 (PerformanceSLO checkout): spec.minReplicas: write a minReplicas that is at most maxReplicas",
        "9: document 1 (PerformanceSLO checkout): spec.fallback.minReplicas: write a fallback.minReplicas between"
        " minReplicas and maxReplicas",
    ]


def test_each_document_is_checked_and_others_are_skipped(validate: Validation) -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: checkout}\n"
    code, said = validate.of(f"{service}---\n{HEAD}{SPEC}---\n---\n{HEAD}{SPEC}  windw: 1h\n")
    assert code == 1
    assert said.splitlines() == [
        "1: document 1: Service: skipped, not of perfslo.io",
        "5: document 2 (PerformanceSLO checkout): valid",
        "25: document 3 (PerformanceSLO checkout): spec.windw: unknown field: did you mean window?",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spec: [\n", "2: not YAML: expected the node content"),
        ("a: 1\nb: 2\n a: 3\n", "3: not YAML: mapping values are not allowed here"),
        ("just text\n", "1: document 1: write a Kubernetes object with apiVersion and kind"),
        (HEAD + "kind: Service\n", "4: kind is written twice: remove one"),
        (HEAD + "spec: {flag: {on: redis}}\n", '4: YAML reads the key on as true or false: write "on" in quotes'),
        (HEAD + "spec: {1: 2}\n", "4: write field names as text"),
        ("a: &a [*a]\n", "1: nested too deeply, or an alias that contains itself"),
        ("a: !!python/object:os.system {}\n", "1: not YAML: could not determine a constructor for the tag"),
        ("a: \x00\n", "1: not YAML: unacceptable character"),
        (HEAD.replace("v1alpha1", "v1"), "1: document 1: apiVersion: write perfslo.io/v1alpha1"),
        (HEAD.replace("apiVersion: perfslo.io/v1alpha1\n", ""), "1: document 1: apiVersion: write perfslo.io/v1alpha1"),
        (
            HEAD.replace("PerformanceSLO", "PerformanceSlo"),
            "2: document 1: kind: write one of PerformanceSLO, LeverClaim",
        ),
        (HEAD.replace("{name: checkout}", "checkout") + SPEC, "metadata: 'checkout' will not do: write a mapping"),
    ],
)
def test_what_is_no_manifest_is_refused(text: str, said: str, validate: Validation) -> None:
    code, output = validate.of(text)
    assert code == 1
    assert said in output


def test_yaml_is_read_as_kubectl_reads_it(validate: Validation) -> None:
    common = "x-target: &target {apiVersion: apps/v1, kind: Deployment, name: 2026-01-01}\n"
    code, said = validate.of(HEAD + SPEC.replace("{apiVersion: apps/v1, kind: Deployment, name: checkout}", "*target"))
    assert (code, "found undefined alias" in said) == (1, True)
    merged = SPEC.replace("{apiVersion: apps/v1, kind: Deployment, name: checkout}", "{<<: *target}")
    assert validate.of(common + HEAD + merged)[1].splitlines() == [
        "1: document 1 (PerformanceSLO checkout): x-target: unknown field: remove it, or write one of"
        " apiVersion, kind, metadata, spec, status"
    ]


def test_the_objects_of_a_list_are_checked(validate: Validation) -> None:
    good, bad = (yaml.safe_load(HEAD + SPEC + more) for more in ("", "  mode: auto\n"))
    code, said = validate.of(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [good, bad]}))
    assert code == 1
    first, second = said.splitlines()
    assert first == "3: document 1 (PerformanceSLO checkout): valid"
    assert second.startswith(
        "23: document 1 (PerformanceSLO checkout): spec.mode: 'auto' will not do: write one of Auto"
    )


def test_the_status_of_a_manifest_is_not_looked_at(validate: Validation) -> None:
    assert validate.of(f"{HEAD}{SPEC}status: {{summary: 1}}\n")[0] == 0


def test_a_claim_is_checked_as_well(validate: Validation) -> None:
    code, said = validate.of("apiVersion: perfslo.io/v1alpha1\nkind: LeverClaim\nmetadata: {name: x}\nspec: {}\n")
    assert code == 1
    assert (
        "4: document 1 (LeverClaim x): spec.targetRef: missing: write a mapping (Object whose field is claimed)" in said
    )


def test_the_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(HEAD + SPEC))
    assert main(["validate", "-"]) == 0
    assert capsys.readouterr().out == "-:1: document 1 (PerformanceSLO checkout): valid\n"


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(tmp_path / "none.yaml")]) == 1
    assert "none.yaml:1: cannot be read: No such file or directory" in capsys.readouterr().err
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff\n")
    assert main(["validate", str(tmp_path / "latin.yaml")]) == 1
    assert "latin.yaml:1: cannot be read: 'utf-8' codec" in capsys.readouterr().err


def test_commands_are_listed_and_others_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "  validate  Check manifests offline" in capsys.readouterr().out
    assert main(["valdate"]) == 2
    assert "there is no command 'valdate'" in capsys.readouterr().err
    assert main(["--version"]) == 0
