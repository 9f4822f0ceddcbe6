"""Decide again for an SLO that was paused."""

from perfslo.cli import _cluster
from perfslo.edges.kube.client import Api


def run(argv: list[str]) -> int:
    """0 when it goes on, 1 when the API server would not, 2 for a wrong command line."""
    arguments = _cluster.slo_parser("resume", __doc__).parse_args(argv)

    async def work(api: Api) -> int:
        print(f"{await _cluster.set_suspend(arguments, api, False)} goes on: decided again from the next cycle.")
        return 0

    return _cluster.main(arguments, work)
