"""pause, resume, explain and release, as people and the chart's hook use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from perfslo.__main__ import main
from perfslo.core.model import Target
from perfslo.edges.kube.writes import apply_status
from perfslo.settings import DEPLOYMENT
from tests.cluster.writes.hand import Contend, Hand, holder, read_for
from tests.conftest import ROOT

pytestmark = pytest.mark.cluster


def perfslo(
    hand: Hand, *argv: str, program: Sequence[str] = (sys.executable, "-m", "perfslo")
) -> subprocess.CompletedProcess[str]:
    installed = Path(sys.executable).parent
    return subprocess.run(
        [*program, *argv, "--kubeconfig", str(hand.stage.cluster.kubeconfig)],
        capture_output=True,
        text=True,
        timeout=120,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "operator"),
            "PATH": f"{installed}{os.pathsep}{os.environ['PATH']}",
        },
    )


@pytest.fixture
def here(hand: Hand) -> list[str]:
    return ["--namespace", hand.stage.namespace]


def test_pausing_and_resuming(hand: Hand, here: list[str]) -> None:
    hand.slo("web")
    paused = perfslo(hand, "pause", "web", *here)
    assert (paused.returncode, paused.stderr) == (0, "")
    assert f"perfslo resume web -n {hand.stage.namespace}" in paused.stdout
    assert hand.stage.get("perfslo", "web")["spec"]["suspend"] is True
    assert perfslo(hand, "resume", "web", *here).returncode == 0
    assert hand.stage.get("perfslo", "web")["spec"]["suspend"] is False


@pytest.mark.parametrize("command", ["pause", "resume", "explain"])
def test_an_slo_that_is_not_there(hand: Hand, here: list[str], command: str) -> None:
    done = perfslo(hand, command, "nobody", *here)
    assert done.returncode == 1
    assert done.stderr.startswith(f"perfslo: there is no PerformanceSLO nobody in namespace {hand.stage.namespace}: ")


async def test_explaining(hand: Hand, here: list[str]) -> None:
    await apply_status(hand.writer, hand.slo("web"), {"summary": {"state": "Healthy", "p95": "41ms"}})
    assert f"web in {hand.stage.namespace}: Healthy" in perfslo(hand, "explain", "web", *here).stdout


async def test_explaining_as_kubectls_plugin(hand: Hand, here: list[str]) -> None:
    await apply_status(hand.writer, hand.slo("web"), {"summary": {"state": "Healthy", "p95": "41ms"}})
    kubectl = str(hand.stage.cluster.binaries / "kubectl")
    explained = perfslo(hand, "explain", "web", *here, program=(kubectl, "perfslo"))
    assert (explained.returncode, explained.stderr) == (0, "")
    assert f"web in {hand.stage.namespace}: Healthy" in explained.stdout


async def test_releasing_one_slo(hand: Hand, web: Target, here: list[str]) -> None:
    await hand.order(hand.slo("web"), web, 5)
    refused = perfslo(hand, "release", "web", *here)
    assert refused.returncode == 1
    assert f"Pause it first: perfslo pause web -n {hand.stage.namespace}" in refused.stderr
    perfslo(hand, "pause", "web", *here)
    released = perfslo(hand, "release", "web", *here)
    assert (released.returncode, released.stderr) == (0, "")
    assert "Deployment/web put back from 5 to 2 replicas" in released.stdout
    assert hand.target(DEPLOYMENT, "web").replicas.desired == 2
    assert hand.claims_there() == 0


@pytest.fixture
def settings_file(hand: Hand, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    own = hand.stage.namespace
    path = tmp_path / "settings.yaml"
    path.write_text(json.dumps({"namespace": own, "watchNamespaces": [own], **getattr(request, "param", {})}))
    return str(path)


async def test_releasing_everything_fences_the_operator_first(
    hand: Hand, web: Target, settings_file: str, contend: Contend
) -> None:
    await hand.order(hand.slo("web"), web, 5)
    leader = contend("leader")
    read_for(leader, 1)
    released = perfslo(hand, "release", "--all", "--settings", settings_file)
    assert (released.returncode, released.stderr) == (0, "")
    assert f"{hand.stage.namespace}/web: Deployment/web put back from 5 to 2 replicas" in released.stdout
    assert "1 of 1 levers released" in released.stdout
    assert hand.target(DEPLOYMENT, "web").replicas.desired == 2
    assert hand.claims_there() == 0
    assert leader.wait(timeout=30) == 7, "the operator that led has ended"
    assert holder(hand.stage).startswith("release-")
    duration_seconds = hand.stage.get("lease", "perfslo")["spec"]["leaseDurationSeconds"]
    assert duration_seconds == 60, "no operator starts anew before the uninstall is through"


@pytest.mark.parametrize("settings_file", [{"scaleKinds": []}], indirect=True)
async def test_what_cannot_be_released_is_told(hand: Hand, web: Target, settings_file: str) -> None:
    await hand.order(hand.slo("web"), web, 5)
    done = perfslo(hand, "release", "--all", "--settings", settings_file)
    assert done.returncode == 1
    assert "web: NOT released: Deployment/web cannot be scaled: ask the administrator to add its kind" in done.stderr
    assert "0 of 1 levers released" in done.stdout
    assert hand.claims_there() == 1


@pytest.mark.parametrize("argv", [[], ["web", "--all"]])
def test_release_wants_one_or_all(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["release", *argv])
    assert "write either NAME or --all" in capsys.readouterr().err
