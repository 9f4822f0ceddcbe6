"""What the command says when it cannot begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfslo.cli import backtest
from tests.simulate.recorded import SLO

NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (SLO.replace("maxReplicas: 12", "maxReplicas: many"), [], "slo.yaml:7: document 1"),
        ("kind: Service\napiVersion: v1\n", [], "holds no PerformanceSLO"),
        (SLO.replace(", namespace: shop", ""), [], "write --namespace NAME"),
        (SLO, ["--prometheus", "localhost:9090"], "write a URL such as http://"),
        (SLO, ["--from", "2026-01-02", "--to", "2026-01-01"], "--from is not before --to"),
        (SLO, ["--policy", "best"], "there is no policy 'best'"),
        (SLO, [], "it cannot be reached: connection refused"),
        (SLO.replace("12\n", "12\n  metrics: {preset: mine}\n"), [], "there is no preset 'mine': write --presets DIR"),
    ],
)
def test_it_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, options: list[str], said: str
) -> None:
    path = tmp_path / "slo.yaml"
    path.write_text(text)
    assert backtest.run(["-f", str(path), "--prometheus", NOBODY, "--from", "1h", *options]) == 1
    assert said in capsys.readouterr().err


def test_a_time_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        backtest.run(["-f", "slo.yaml", "--prometheus", NOBODY, "--from", "yesterday"])
    assert "write a duration with its unit" in capsys.readouterr().err
