"""Check manifests offline, with the rules that the API server enforces, and queries as the operator reads them."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from perfslo.api.v1alpha1 import API_VERSION, GROUP, LeverClaim, PerformanceSLO
from perfslo.cli._fixes import Problem, problems
from perfslo.cli._name import called
from perfslo.cli._yaml import Document, ManifestError, documents
from perfslo.core import custom

MODELS: dict[str, type[BaseModel]] = {"PerformanceSLO": PerformanceSLO, "LeverClaim": LeverClaim}


@dataclass(frozen=True)
class Finding:
    """Something about a document: an error, or a note that changes nothing."""

    line: int
    message: str
    is_error: bool = True


def run(argv: list[str]) -> int:
    """0 when nothing is wrong, 1 when something is, 2 for a wrong command line."""
    parser = argparse.ArgumentParser(prog=f"{called()} validate", description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", help="a manifest; - reads the standard input")
    failed = False
    for name in parser.parse_args(argv).files:
        for finding in check(name):
            print(f"{name}:{finding.line}: {finding.message}", file=sys.stderr if finding.is_error else sys.stdout)
            failed = failed or finding.is_error
    return int(failed)


def check(name: str) -> Iterator[Finding]:
    """Findings of a file, in the order of its lines within each document."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        yield Finding(1, f"cannot be read: {getattr(error, 'strerror', None) or error}")
        return
    try:
        for number, document in enumerate(documents(text), start=1):
            for item in document.items():
                yield from _findings(item, number)
    except ManifestError as error:
        yield Finding(error.line, str(error))


def _findings(document: Document, number: int) -> Iterator[Finding]:
    data, where = document.data, f"document {number}"
    if not isinstance(data, dict):
        yield Finding(document.line(()), f"{where}: write a Kubernetes object with apiVersion and kind")
        return
    api_version, kind = data.get("apiVersion"), data.get("kind")
    if kind not in MODELS and not str(api_version).startswith(f"{GROUP}/"):
        yield Finding(document.line(()), f"{where}: {kind or 'no kind'}: skipped, not of {GROUP}", is_error=False)
    elif kind not in MODELS:
        yield Finding(document.line(("kind",)), f"{where}: kind: write one of {', '.join(MODELS)}")
    elif api_version != API_VERSION:
        yield Finding(document.line(("apiVersion",)), f"{where}: apiVersion: write {API_VERSION}")
    else:
        yield from _against(MODELS[kind], document, where)


def _against(model: type[BaseModel], document: Document, where: str) -> Iterator[Finding]:
    metadata = document.data.get("metadata")
    name = metadata.get("name", "without a name") if isinstance(metadata, dict) else "without a name"
    title = f"{where} ({model.__name__} {name})"
    spec_only = {key: value for key, value in document.data.items() if key != "status"}  # as the API server on create
    try:
        checked = model.model_validate(spec_only, by_alias=True, by_name=False)
        found = _beyond_the_schema(checked)
    except ValidationError as error:
        found = problems(model, error.errors())
    for problem in sorted(found, key=lambda problem: document.line(problem.path)):
        yield Finding(document.line(problem.path), f"{title}: {problem}")
    if not found:
        yield Finding(document.line(()), f"{title}: valid", is_error=False)


def _beyond_the_schema(checked: BaseModel) -> list[Problem]:
    """What the API server lets pass, and the operator then cannot use."""
    its = checked.spec.metrics.custom if isinstance(checked, PerformanceSLO) else None
    return [Problem(("spec", "metrics", "custom", *path), why) for path, why in (custom.problems(its) if its else ())]
