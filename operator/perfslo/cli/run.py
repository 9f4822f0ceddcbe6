"""Run the operator (what the chart's Deployment does)."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from perfslo import settings as settings_file
from perfslo.cli._name import called
from perfslo.edges import log
from perfslo.errors import PerfsloError
from perfslo.settings import Settings


def run(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"{called()} run", description=__doc__)
    parser.add_argument("--settings", type=Path, metavar="FILE", help="settings file; the chart mounts one")
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="default: $KUBECONFIG, the pod's account, ~/.kube/config"
    )
    arguments = parser.parse_args(argv)
    try:
        settings = settings_file.load(arguments.settings) if arguments.settings else Settings()
        log.configure(settings.log_level)
        from perfslo import app  # here, so that `--help` and bad settings do not wait for kopf and aiohttp

        return asyncio.run(app.run(settings, arguments.kubeconfig))
    except PerfsloError as error:
        print(f"perfslo run: {error}", file=sys.stderr)
        return 1
