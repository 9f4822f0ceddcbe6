"""Presets are read from files, and a mistake in one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfslo.core.promql import Matcher
from perfslo.edges import presets
from perfslo.errors import ConfigurationError


def test_the_built_in_presets() -> None:
    assert presets.load()["http-server"].histogram == "http_server_request_duration_seconds"


def test_an_administrators_own_are_added_and_replace(tmp_path: Path) -> None:
    (tmp_path / "grpc.yaml").write_text("histogram: grpc_server_handling_ms\nunit: milliseconds\n")
    (tmp_path / "http-server.yaml").write_text("histogram: own_seconds\n")
    (tmp_path / "README.md").write_text("not a preset")
    found = presets.load(tmp_path)
    assert found["grpc"].scale_to_seconds == 0.001
    assert found["http-server"].histogram == "own_seconds"
    assert set(found) == {*presets.load(), "grpc"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("histogram: 'a b'", "histogram"),
        ("histogram: a\nunit: minutes", "unit"),
        ("histogram: a\nfailed: {labels: [code], regex: '('}", "failed.regex"),
        ("histogram: a\nfailed: {labels: ['co-de'], regex: x}", "failed.labels.0"),
        ("histogram: a\nhistorgam: b", "historgam"),
        ("{}", "histogram"),
        (
            "histogram: a\nby: {pod: {}, labels: {namespaceLabel: b, nameLabels: [c]}}",
            "by: Value error, write exactly one",
        ),
        ("histogram: a\nby: {joined: {labels: [b], join: '{name}', rest: ''}}", "once each"),
        ("[]", "file"),
        ("a: [", "cannot read"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"bad\.yaml") as problem:
        presets.load(tmp_path)
    assert named in str(problem.value)


def test_an_equals_sign_needs_no_quotes(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("histogram: a\nmatchers: [{label: b, op: =, value: c}]")
    assert presets.load(tmp_path)["own"].fixed == (Matcher("b", "=", "c"),)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        presets.load(tmp_path / "nothing")
