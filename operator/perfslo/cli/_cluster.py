"""What the commands that talk to a cluster share: their arguments, the connection, and how errors are told."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from kubernetes.aio import config as kubernetes_config

from perfslo.api.v1alpha1 import API_VERSION
from perfslo.cli._name import called
from perfslo.core.model import JSON
from perfslo.edges.kube.client import MERGE_PATCH, Api, connect
from perfslo.edges.kube.writes import slo_path
from perfslo.errors import Denied, NotFound, PerfsloError

MANAGER = "perfslo-cli"


def parser(command: str, summary: str | None) -> argparse.ArgumentParser:
    """A parser with kubectl's names for which cluster is meant."""
    made = argparse.ArgumentParser(prog=f"{called()} {command}", description=summary)
    made.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="default: $KUBECONFIG, the pod's own account, ~/.kube/config"
    )
    made.add_argument("--context", metavar="NAME", help="context of the kubeconfig; default: its current one")
    return made


def slo_parser(command: str, summary: str | None) -> argparse.ArgumentParser:
    """A parser for commands about one PerformanceSLO."""
    made = parser(command, summary)
    made.add_argument("name", metavar="NAME", help="name of the PerformanceSLO")
    made.add_argument("-n", "--namespace", metavar="NAMESPACE", help="default: that of the context")
    return made


def main(arguments: argparse.Namespace, work: Callable[[Api], Awaitable[int]]) -> int:
    """Run `work` with a connection; our own errors become one line and exit code 1."""

    async def connected() -> int:
        api = await connect(arguments.kubeconfig, arguments.context)
        try:
            return await work(api)
        finally:
            await api.close()

    try:
        return asyncio.run(connected())
    except PerfsloError as error:
        print(f"{called()}: {error}", file=sys.stderr)
        return 1


async def namespace_of(arguments: argparse.Namespace) -> str:
    """The namespace that kubectl would use."""
    if arguments.namespace:
        return str(arguments.namespace)
    path = str(arguments.kubeconfig or os.environ.get("KUBECONFIG") or kubernetes_config.KUBE_CONFIG_DEFAULT_LOCATION)
    try:
        contexts, active = await kubernetes_config.list_kube_config_contexts(path)  # type: ignore[no-untyped-call]
    except (kubernetes_config.ConfigException, OSError):
        return "default"
    chosen = next((each for each in contexts if each["name"] == arguments.context), active)
    return str(chosen["context"].get("namespace") or "default")


async def get_slo(api: Api, namespace: str, name: str) -> JSON:
    """Raises NotFound or Denied with what to do next."""
    try:
        return await api.request("GET", slo_path(namespace, name))
    except NotFound as error:
        raise _absent(namespace, name) from error


async def set_suspend(arguments: argparse.Namespace, api: Api, suspend: bool) -> str:
    """Set spec.suspend as the user; returns namespace/name."""
    namespace, name = await namespace_of(arguments), arguments.name
    try:
        await api.request(
            "PATCH",
            slo_path(namespace, name),
            query={"fieldManager": MANAGER},
            body={"apiVersion": API_VERSION, "kind": "PerformanceSLO", "spec": {"suspend": suspend}},
            content_type=MERGE_PATCH,
        )
    except NotFound as error:
        raise _absent(namespace, name) from error
    except Denied as error:
        raise Denied(f"{error}. Ask for the verb patch on performanceslos in namespace {namespace}") from error
    return f"{namespace}/{name}"


def _absent(namespace: str, name: str) -> NotFound:
    return NotFound(f"there is no PerformanceSLO {name} in namespace {namespace}: see `kubectl get perfslo -A`")
