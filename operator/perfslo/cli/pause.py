"""Stop deciding for one SLO: it is measured on, its levers stay where they are."""

from perfslo.cli import _cluster
from perfslo.cli._name import called
from perfslo.edges.kube.client import Api


def run(argv: list[str]) -> int:
    """0 when it is paused, 1 when the API server would not, 2 for a wrong command line."""
    arguments = _cluster.slo_parser("pause", __doc__).parse_args(argv)

    async def work(api: Api) -> int:
        paused = await _cluster.set_suspend(arguments, api, True)
        namespace, _, name = paused.partition("/")
        print(f"{paused} is paused: measured on, its levers stay where they are.")
        print(f"Go on with: {called()} resume {name} -n {namespace}")
        return 0

    return _cluster.main(arguments, work)
