"""Services from files: what is taken, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfslo.errors import ConfigurationError
from perfslo.simulate import services
from perfslo.simulate.model import Dependency, Service


def test_what_is_not_written_has_its_default(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("workers: 8\nmean_seconds: 0.1\ndependency: {servers: 4, mean_seconds: 0.02}\n")
    assert services.named(str(path)) == Service(workers=8, mean_seconds=0.1, dependency=Dependency(4, 0.02))


def test_presets_go_by_name() -> None:
    assert services.named("io").cpu_share < services.named("cpu").cpu_share
    with pytest.raises(ConfigurationError, match="write cpu, io, or the name of a YAML file"):
        services.named("gpu")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "write fields such as"),
        ("workers: [", "cannot be read"),
        ("worker: 2", "worker: there is no such field; the fields are workers"),
        ("dependency: {server: 2}", "server: there is no such field; the fields are servers"),
        ("workers: two", "workers: Input should be a valid integer"),
        ("workers: 0", "workers: write 1 or more"),
        ("mean_seconds: 0", "mean_seconds: write a number above 0"),
        ("mean_seconds: .nan", "mean_seconds: write a number above 0"),
        ("cpu_share: 1.5", "cpu_share: write a share between 0 and 1"),
        ("startup_seconds: -1", "startup_seconds: write a number from 0"),
        ("dependency: {servers: 2, mean_seconds: -1}", "dependency.mean_seconds: write a number above 0"),
        ("buckets_seconds: [0.5, 0.1, .inf]", "buckets_seconds: write edges in rising order"),
        ("buckets_seconds: []", "buckets_seconds: write edges in rising order"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refusal:
        services.read(path)
    assert said in str(refusal.value)
