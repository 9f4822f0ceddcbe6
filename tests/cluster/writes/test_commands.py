"""pause, resume, explain and release, as people and the chart's hook use them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from perfslo.__main__ import main
from perfslo.core.model import Target
from perfslo.edges.kube.writes import apply_status
from perfslo.settings import DEPLOYMENT
from tests.cluster.writes.hand import Contend, Hand, holder, read_for

pytestmark = pytest.mark.cluster


@pytest.fixture
def where(hand: Hand) -> list[str]:
    return ["--kubeconfig", str(hand.stage.cluster.kubeconfig), "--namespace", hand.stage.namespace]


async def run(*argv: str) -> int:
    """The commands bring their own event loop."""
    return await asyncio.to_thread(main, list(argv))


async def test_pausing_and_resuming(hand: Hand, where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    hand.slo("web")
    assert await run("pause", "web", *where) == 0
    assert hand.stage.get("perfslo", "web")["spec"]["suspend"] is True
    assert f"perfslo resume web -n {hand.stage.namespace}" in capsys.readouterr().out
    assert await run("resume", "web", *where) == 0
    assert hand.stage.get("perfslo", "web")["spec"]["suspend"] is False


@pytest.mark.parametrize("command", ["pause", "resume", "explain"])
async def test_an_slo_that_is_not_there(
    hand: Hand, where: list[str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(command, "nobody", *where) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"perfslo: there is no PerformanceSLO nobody in namespace {hand.stage.namespace}: see ")


async def test_explaining(hand: Hand, where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    slo = hand.slo("web")
    await apply_status(hand.writer, slo, {"summary": {"state": "Healthy", "p95": "41ms"}})
    assert await run("explain", "web", *where) == 0
    assert f"web in {hand.stage.namespace}: Healthy" in capsys.readouterr().out


async def test_releasing_one_slo(hand: Hand, web: Target, where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    await hand.order(hand.slo("web"), web, 5)
    assert await run("release", "web", *where) == 1
    assert f"Pause it first: perfslo pause web -n {hand.stage.namespace}" in capsys.readouterr().err
    assert await run("pause", "web", *where) == 0
    assert await run("release", "web", *where) == 0
    assert "Deployment/web put back from 5 to 2 replicas" in capsys.readouterr().out
    assert hand.target(DEPLOYMENT, "web").replicas.desired == 2
    assert hand.claims_there() == 0


@pytest.fixture
def settings_file(hand: Hand, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    own = hand.stage.namespace
    path = tmp_path / "settings.yaml"
    path.write_text(json.dumps({"namespace": own, "watchNamespaces": [own], **getattr(request, "param", {})}))
    return str(path)


async def test_releasing_everything_fences_the_operator_first(
    hand: Hand, web: Target, where: list[str], settings_file: str, contend: Contend, capsys: pytest.CaptureFixture[str]
) -> None:
    await hand.order(hand.slo("web"), web, 5)
    leader = await asyncio.to_thread(contend, "leader")
    await asyncio.to_thread(read_for, leader, 1)
    assert await run("release", "--all", "--settings", settings_file, *where[:2]) == 0
    told = capsys.readouterr().out
    assert f"{hand.stage.namespace}/web: Deployment/web put back from 5 to 2 replicas" in told
    assert "1 of 1 levers released" in told
    assert hand.target(DEPLOYMENT, "web").replicas.desired == 2
    assert hand.claims_there() == 0
    assert leader.wait(timeout=30) == 7, "the operator that led has ended"
    lease = hand.stage.get("lease", "perfslo")["spec"]
    assert holder(hand.stage).startswith("release-")
    assert lease["leaseDurationSeconds"] == 60, "no operator starts anew before the uninstall is through"


@pytest.mark.parametrize("settings_file", [{"scaleKinds": []}], indirect=True)
async def test_what_cannot_be_released_is_told(
    hand: Hand, web: Target, where: list[str], settings_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await hand.order(hand.slo("web"), web, 5)
    assert await run("release", "--all", "--settings", settings_file, *where[:2]) == 1
    captured = capsys.readouterr()
    assert "web: NOT released: Deployment/web cannot be scaled: ask the administrator to add its kind" in captured.err
    assert "0 of 1 levers released" in captured.out
    assert hand.claims_there() == 1


@pytest.mark.parametrize("argv", [[], ["web", "--all"]])
def test_release_wants_one_or_all(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["release", *argv])
    assert "write either NAME or --all" in capsys.readouterr().err
