"""Try perfslo and its rivals on a trace or on named scenarios, and see what each would have kept and cost."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from perfslo.cli import _extra
from perfslo.cli._name import called
from perfslo.cli._progress import Progress
from perfslo.errors import ConfigurationError

if TYPE_CHECKING:
    from perfslo.simulate.model import Run, Scenario
    from perfslo.simulate.report import Result

Case = Callable[[int], "Scenario"]
"""What is simulated, by the seed."""

DESCRIPTION = """\
Play every single request of a load through a service under one policy after the other, and compare them: how many
requests were slower than promised, and how many replicas were paid for. perfslo decides with the operator's own code,
rivals by their published rules, and the oracle knows the future. See docs/simulate.md for what is modelled.
"""
EXAMPLES = """\
examples:
  perfslo simulate --scenario regression                    a release that is slower, under the usual policies
  perfslo simulate --scenario all --seeds 5 --out out       everything, five times, with pictures
  perfslo simulate --trace day.csv --from 8h --duration 2h --peak-rps 900 --target 250ms \\
      --policy perfslo --policy hpa-cpu=60 --policy keda-rps=24 --policy oracle --out out
  perfslo simulate --trace day.csv --speed 24 --service mine.yaml --target 400ms --percentile 99

files:
  a trace has the first line t_seconds,rps and then one line for each bin: its start and the mean rate in it
  a service has fields such as
      workers: 4                # requests that a pod works on at a time
      mean_seconds: 0.08        # of a request's own work
      cpu_share: 0.4            # the rest waits
      cpu_request_cores: 1
      startup_seconds: 45
      dependency: {servers: 20, mean_seconds: 0.01}
  results.json in DIR is a list with an object for each run: policy, scenario, seed, bad_ratio, violation_minutes,
      replica_minutes, actions, failed, oracle_replica_minutes and more
"""


def run(argv: list[str]) -> int:
    """0 when all was simulated, 1 when an input is wrong, 2 for a wrong command line."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if not arguments.trace and not arguments.scenario:
        parser.error("write --scenario NAME or --trace FILE: what is to be simulated?")
    return _extra.main("simulate", lambda: _simulate(arguments))


def _parser() -> argparse.ArgumentParser:
    from perfslo.simulate import services
    from perfslo.simulate.model import Balancing

    parser = argparse.ArgumentParser(
        prog=f"{called()} simulate",
        description=DESCRIPTION,
        epilog=f"{_policies()}\n\n{_scenarios()}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    load = parser.add_argument_group("what comes")
    load.add_argument("--scenario", action="append", default=[], metavar="NAME", help="see below; all; repeatable")
    load.add_argument("--trace", action="append", default=[], type=Path, metavar="FILE", help="a load; repeatable")
    load.add_argument("--from", dest="start", type=_extra.duration, default=0.0, metavar="TIME", help="cut the trace")
    load.add_argument("--duration", type=_extra.duration, metavar="TIME", help="so long a part of the trace")
    load.add_argument("--speed", type=_extra.above_zero, default=1.0, help="hurry the trace: at 24 a day takes an hour")
    load.add_argument("--peak-rps", type=_extra.above_zero, metavar="RPS", help="multiply the load to peak at this")
    load.add_argument(
        "--seeds", type=_extra.count, default=1, metavar="N", help="repeat with other chances (default 1)"
    )
    served = parser.add_argument_group("what serves, and what was promised")
    served.add_argument("--service", metavar="NAME", help=f"{', '.join(services.PRESETS)}, or a YAML file")
    served.add_argument("--target", type=_extra.duration, metavar="TIME", help="promised latency (default 250ms)")
    served.add_argument("--percentile", type=_percentile, metavar="P", help="of how many of 100 (default 95)")
    served.add_argument("--balancing", choices=[*Balancing], help="how requests find a pod (default random)")
    served.add_argument("--min", type=_extra.count, metavar="N", help="fewest replicas (default 1)")
    served.add_argument("--max", type=_extra.count, metavar="N", help="most replicas")
    served.add_argument("--scrape", type=_extra.duration, metavar="TIME", help="Prometheus' interval (default 15s)")
    rest = parser.add_argument_group("who decides, and what comes of it")
    rest.add_argument("--policy", action="append", default=[], metavar="POLICY", help="see below; repeatable")
    rest.add_argument("--out", type=Path, metavar="DIR", help="write results.json and pictures there")
    rest.add_argument("--jobs", type=_extra.count, default=os.cpu_count() or 1, metavar="N", help="runs at a time")
    return parser


def _percentile(text: str) -> float:
    number = _extra.above_zero(text)
    if not 50 <= number <= 99.99:
        raise argparse.ArgumentTypeError(f"write a percentile from 50 to 99.99: {text!r}")
    return number


def _policies() -> str:
    from perfslo.simulate.policies import registry

    lines = [f"  {example:<16} {what}" for example, what in registry.USAGE.items()]
    return "\n".join(["policies (the default is one of each; the oracle always runs, to measure by):", *lines])


def _scenarios() -> str:
    from perfslo.simulate import scenarios

    lines = [f"  {name:<16} {scenarios.describe(name)}" for name in scenarios.names()]
    return "\n".join(["scenarios:", *lines])


# --- what is simulated -------------------------------------------------------------------------------------------


def _simulate(arguments: argparse.Namespace) -> int:
    from perfslo.cli import _table
    from perfslo.simulate import batch, report

    cases = _cases(arguments)
    tasks = [
        batch.Task(scenario, policy, seed)
        for case in cases
        for seed in range(arguments.seeds)
        for scenario in (case(seed),)
        for policy in _chosen(arguments.policy, scenario)
    ]
    with Progress(len(tasks), "runs") as progress:
        found = dict(batch.run_all(tasks, arguments.jobs, progress))
    runs = [found[number] for number in range(len(tasks))]
    rows = report.results(runs)
    print("\n\n".join(_table.tables(rows)))
    if arguments.out:
        _write(arguments.out, [case(0) for case in cases], runs, rows)
        print(f"\nresults.json and pictures are in {arguments.out}")
    return 0


def _cases(arguments: argparse.Namespace) -> list[Case]:
    from perfslo.simulate import scenarios

    wanted = scenarios.names() if "all" in arguments.scenario else dict.fromkeys(arguments.scenario)
    cases = [_named(name, arguments) for name in wanted]
    cases += [_traced(path, arguments) for path in arguments.trace]
    names = [case(0).name for case in cases]  # what is wrong shows before anything runs
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"{', '.join(twice)} is there twice: results go by these names, so rename a file")
    return cases


def _named(name: str, arguments: argparse.Namespace) -> Case:
    from perfslo.simulate import scenarios

    return lambda seed: _adapted(scenarios.build(name, seed=seed), arguments)


def _traced(path: Path, arguments: argparse.Namespace) -> Case:
    from perfslo.simulate import scenarios, traces
    from perfslo.simulate.model import Scenario

    whole = traces.read(path)
    load = traces.hurried(traces.cut(whole, arguments.start, arguments.duration or float("inf")), arguments.speed)
    settle = min(scenarios.SETTLE_SECONDS, load.duration_seconds / 6)
    scenario = _adapted(Scenario(path.stem, load, judged_from_seconds=settle), arguments)
    return lambda _: scenario


def _adapted(scenario: Scenario, arguments: argparse.Namespace) -> Scenario:
    """With what the command line says otherwise."""
    from perfslo.simulate import services, traces
    from perfslo.simulate.model import Balancing

    said = {
        "service": services.named(arguments.service) if arguments.service else None,
        "load": traces.peaking(scenario.load, arguments.peak_rps) if arguments.peak_rps else None,
        "target_seconds": arguments.target,
        "percentile": arguments.percentile,
        "balancing": Balancing(arguments.balancing) if arguments.balancing else None,
        "min_replicas": arguments.min,
        "max_replicas": arguments.max,
        "scrape_seconds": arguments.scrape,
    }
    adapted = replace(scenario, **{name: value for name, value in said.items() if value is not None})
    if adapted.min_replicas > adapted.max_replicas:
        raise ConfigurationError(f"--min {adapted.min_replicas} is more than --max {adapted.max_replicas}")
    return adapted


def _chosen(policies: Sequence[str], scenario: Scenario) -> list[str]:
    """The policies to run. The oracle always does, last."""
    usual = ("perfslo", "hpa-cpu=60", f"keda-p{scenario.percentile:g}={scenario.target_seconds * 800:g}ms")
    chosen = policies or (*usual, "keda-rps=24", "kpa=0.9", "llmd")
    return list(dict.fromkeys([*(policy for policy in chosen if policy != "oracle"), "oracle"]))


# --- what came of it ---------------------------------------------------------------------------------------------


def _write(folder: Path, cases: Sequence[Scenario], runs: Sequence[Run], rows: Sequence[Result]) -> None:
    from perfslo.simulate import plots
    from perfslo.simulate.report import Comparison

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
        for scenario in cases:
            first = [its for its in runs if its.scenario == scenario.name and its.seed == 0]
            plots.timeline(scenario, first, folder / f"{scenario.name}.png")
        if (whole := Comparison(rows)).cells:
            plots.pareto(whole, "Promises broken against replicas paid for", folder / "comparison.png")
    except OSError as error:
        raise ConfigurationError(f"--out {folder}: cannot be written: {error.strerror}") from None
