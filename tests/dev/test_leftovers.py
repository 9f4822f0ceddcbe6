"""What a cluster left is found while it is still going away."""

import shutil
from pathlib import Path

import leftovers
import pytest


def test_cgroups_may_vanish_while_their_processes_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_CGROUPS", tmp_path)
    pods = tmp_path / "kubepods"
    for pod, pid in {"pod-a": 11, "pod-a/container": 12, "pod-b": 21, "pod-b/container": 22}.items():
        (pods / pod).mkdir(parents=True)
        (pods / pod / "cgroup.procs").write_text(f"{pid}\n")
    listed = leftovers._pod_processes()
    found = {first := next(listed)}
    shutil.rmtree(pods / ("pod-a" if first == 11 else "pod-b"))
    found |= set(listed)
    assert found == ({11, 21, 22} if first == 11 else {21, 11, 12})
