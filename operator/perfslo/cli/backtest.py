"""Play a range that Prometheus recorded again, with perfslo deciding: what would have happened."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from perfslo.api.v1alpha1 import PerformanceSLO
from perfslo.cli import _extra, validate
from perfslo.cli._name import called
from perfslo.cli._yaml import documents
from perfslo.errors import ConfigurationError
from perfslo.settings import Source

if TYPE_CHECKING:
    from perfslo.core.measure import Wanted
    from perfslo.simulate.model import Run, Scenario
    from perfslo.simulate.past import Past

TIMEOUT_SECONDS = 60.0
"""Ranges take a server longer than the operator's own queries."""
LINES = 24
"""Of the course of things: as many as one screen shows."""
DESCRIPTION = """\
Read the load of an SLO's workload, its pods and its latency from Prometheus, make a service like it, and let perfslo
decide over that range in the simulator, beside what was really there. Nothing is written anywhere but to --out.
"""
EXAMPLES = """\
examples:
  perfslo backtest -f slo.yaml --prometheus http://localhost:9090 --from 6h
  perfslo backtest -f slo.yaml --prometheus https://prometheus.example --token-file token \\
      --from 2026-01-31T08:00:00Z --to 2026-01-31T20:00:00Z --policy hpa-cpu=60 --out out

The service is calibrated from the range itself: how, and what is assumed, is printed. The line "as-it-was" has the
recorded numbers of pods in the simulator: the closer it is to "observed", the more the other lines can be trusted.
"""


def run(argv: list[str]) -> int:
    """0 when it was played, 1 when something could not be read, 2 for a wrong command line."""
    arguments = _parser().parse_args(argv)
    return _extra.main("backtest", lambda: _backtest(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{called()} backtest",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-f", "--file", required=True, type=Path, metavar="FILE", help="a PerformanceSLO")
    parser.add_argument("-n", "--namespace", metavar="NAME", help="where it is, if its file does not say")
    source = parser.add_argument_group("where from")
    source.add_argument("--prometheus", required=True, metavar="URL", help="its address")
    source.add_argument("--token-file", type=Path, metavar="FILE", help="a bearer token for it")
    source.add_argument("--ca-file", type=Path, metavar="FILE", help="whom to trust instead of the usual authorities")
    source.add_argument("--presets", type=Path, metavar="DIR", help="presets of your own, as the chart's")
    source.add_argument("--from", dest="start", required=True, type=_moment, metavar="TIME", help="6h ago, or a date")
    source.add_argument("--to", dest="end", type=_moment, default=None, metavar="TIME", help="the same (default: now)")
    played = parser.add_argument_group("what is played")
    played.add_argument("--service", metavar="NAME", help="as for simulate, in place of one that is calibrated")
    played.add_argument("--balancing", choices=("random", "round-robin", "least-request"), default="random")
    played.add_argument("--policy", action="append", default=[], metavar="POLICY", help="a rival beside it; repeatable")
    played.add_argument("--out", type=Path, metavar="DIR", help="write results.json and a picture there")
    return parser


def _moment(text: str) -> float:
    """Unix seconds of a date, or of so long ago. Raises ArgumentTypeError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return time.time() - _extra.duration(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _backtest(arguments: argparse.Namespace) -> int:
    from perfslo.cli import _table
    from perfslo.simulate import backtest, report, services
    from perfslo.simulate.calibrate import Calibrated, calibrate
    from perfslo.simulate.model import Balancing
    from perfslo.simulate.policies import registry

    for policy in arguments.policy:
        registry.parse(policy)
    slo = _slo(arguments.file)
    wanted = _wanted(slo, arguments.namespace)
    balancing = Balancing(arguments.balancing)
    given = services.named(arguments.service) if arguments.service else None
    past = _past(arguments, wanted)
    service = Calibrated(given, ("the service is that of --service",)) if given else calibrate(past, balancing)
    scenario = backtest.scenario(past, service.service, slo.spec, slo.metadata.name, balancing)
    runs = list(backtest.runs(past, scenario, slo.spec, arguments.policy))
    rows = report.results(runs)
    print(f"{wanted.key}, {len(past.moments)} minutes from {_clock(past.start)}")
    filled = (f"{past.gaps} minutes that Prometheus has nothing of were filled in",) if past.gaps else ()
    print("\n".join(f"  {note}" for note in (*service.notes, *filled)))
    print("\n" + "\n".join(_table.tables(rows)))
    print("\n" + "\n".join(_course(past, runs)))
    if arguments.out:
        _write(arguments.out, scenario, runs, [asdict(row) for row in rows])
    return 0


def _slo(path: Path) -> PerformanceSLO:
    """The first in a file. Raises ConfigurationError with the line and the fix."""
    if errors := [finding for finding in validate.check(str(path)) if finding.is_error]:
        raise ConfigurationError(f"{path}:{errors[0].line}: {errors[0].message}")
    for document in documents(path.read_text(encoding="utf-8")):
        for item in document.items():
            if item.data["kind"] == "PerformanceSLO":
                spec_only = {key: value for key, value in item.data.items() if key != "status"}
                return PerformanceSLO.model_validate(spec_only, by_alias=True, by_name=False)
    raise ConfigurationError(f"{path} holds no PerformanceSLO: write the file of one")


def _wanted(slo: PerformanceSLO, namespace: str | None) -> Wanted:
    from perfslo.core.measure import Wanted

    target, where = slo.spec.scale_target_ref, namespace or slo.metadata.namespace
    if target is None:
        raise ConfigurationError(
            "only an SLO with scaleTargetRef can be played: this one has a target for each backend"
        )
    if not where:
        raise ConfigurationError("the file does not say its namespace: write --namespace NAME")
    return Wanted(
        key=f"{where}/{slo.metadata.name}",
        namespace=where,
        workloads=frozenset({target.name}),
        source="default",
        preset=slo.spec.metrics.preset,
        spec=slo.spec,
    )


def _past(arguments: argparse.Namespace, wanted: Wanted) -> Past:
    from perfslo.edges import presets
    from perfslo.edges.prometheus.client import Client
    from perfslo.simulate import past

    names = presets.load(arguments.presets)
    if wanted.preset not in names and wanted.spec.metrics.custom is None:
        raise ConfigurationError(f"there is no preset {wanted.preset!r}: write --presets DIR with one")
    variants = names[wanted.preset].variants if wanted.preset in names else ()
    source = _source(arguments)
    end = (arguments.end or time.time()) // past.MINUTE_SECONDS * past.MINUTE_SECONDS
    start = arguments.start // past.MINUTE_SECONDS * past.MINUTE_SECONDS
    if start >= end:
        raise ConfigurationError("--from is not before --to: write an earlier time")
    client = Client(source)
    try:
        return past.read(client, wanted, variants, source.tenant_label, start, end)
    finally:
        client.close()


def _source(arguments: argparse.Namespace) -> Source:
    try:
        return Source(
            address=arguments.prometheus,
            bearer_token_file=arguments.token_file,
            ca_file=arguments.ca_file,
            timeout_seconds=TIMEOUT_SECONDS,
        )
    except ValidationError as error:
        raise ConfigurationError(f"--prometheus: {error.errors()[0]['msg']}") from None


# --- what came of it ---------------------------------------------------------------------------------------------


def _course(past: Past, runs: Sequence[Run]) -> Iterator[str]:
    """Load, replicas and latency as they were, and as they would have been, at some minutes."""
    from perfslo.core import text
    from perfslo.simulate.backtest import OBSERVED
    from perfslo.simulate.report import PERFSLO

    by_policy = {run.policy: run for run in runs}
    there, ours = by_policy[OBSERVED].minutes, by_policy[PERFSLO].minutes
    percentile = f"P{past.percentile:g}"
    yield f"{'time':<17}{'rps':>8}{'replicas':>10}{'perfslo':>9}{percentile:>10}{'perfslo':>10}"
    for was, would in list(zip(there, ours, strict=True))[:: max(1, -(-len(there) // LINES))]:
        yield (
            f"{_clock(past.start + was.at_seconds):<17}{text.rate(was.requests / 60):>8}{was.replicas:>10.0f}"
            f"{would.desired:>9}{text.seconds(was.percentile_seconds):>10}{text.seconds(would.percentile_seconds):>10}"
        )


def _clock(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _write(folder: Path, scenario: Scenario, runs: Sequence[Run], rows: Sequence[dict[str, object]]) -> None:
    from perfslo.simulate import plots

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
        plots.timeline(scenario, runs, folder / f"{scenario.name}.png")
    except OSError as error:
        raise ConfigurationError(f"--out {folder}: cannot be written: {error.strerror}") from None
    print(f"\nresults.json and {scenario.name}.png are in {folder}")
