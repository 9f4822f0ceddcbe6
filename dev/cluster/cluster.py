#!/usr/bin/env python3
"""A local Kubernetes cluster: bring it up, take it away, give it images. Needs nothing but Python."""

import argparse
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import binaries
import debian
import existing
import images
import kind
import source
from paths import CACHE
from shell import ClusterError, output, say


class Provider(Protocol):
    """A way to have a cluster: a module with these names."""

    @property
    def KUBECONFIG(self) -> Path: ...
    @property
    def AUDIT_LOG(self) -> Path | None: ...
    @property
    def PARTS(self) -> tuple[binaries.Part, ...]: ...

    def up(self) -> None: ...
    def down(self) -> None: ...
    def healthy(self) -> bool: ...
    def load(self, names: list[str]) -> None: ...


def provider() -> Provider:
    """What PERFSLO_CLUSTER says, or what this machine can do. Raises ClusterError with what is missing."""
    match os.environ.get("PERFSLO_CLUSTER", ""):
        case "existing":
            return existing
        case "kind":
            kind.check_tools()
            return kind
        case "source":
            source.check_machine()
            return source
        case "":
            return _provider_for_this_machine()
        case other:
            raise ClusterError(f"PERFSLO_CLUSTER={other}: say kind, source, or existing.")


def _provider_for_this_machine() -> Provider:
    if kind.docker_answers():
        kind.check_tools()
        return kind
    try:
        source.check_machine()
    except ClusterError as reason:
        raise ClusterError(
            f"No cluster can be brought up here: no Docker engine answers, and {reason}. One of these is enough:\n"
            "  - a running Docker engine, with kind installed\n"
            "  - root on Linux, with Go and apt-get\n"
            "  - a cluster of yours: PERFSLO_CLUSTER=existing KUBECONFIG=FILE"
        ) from None
    return source


def up() -> None:
    cluster = provider()
    cluster.up()
    print(cluster.KUBECONFIG)


def down(*, cache: bool) -> None:
    provider().down()
    if cache:
        say(f"Removing {CACHE}")
        shutil.rmtree(CACHE, ignore_errors=True)


def status() -> None:
    cluster = provider()
    if not cluster.healthy():
        raise ClusterError("There is no healthy cluster. `make cluster` brings one up.")
    kubectl = binaries.ensure(cluster.PARTS) / "kubectl"
    print(output(kubectl, "--kubeconfig", cluster.KUBECONFIG, "get", "nodes"), end="")


def programs(parts: tuple[binaries.Part, ...]) -> Path:
    """The directory with these programs, built if need be."""
    if binaries.built(parts):
        return binaries.ensure(parts)
    with _one_at_a_time():
        return binaries.ensure(parts)


def audit_log() -> None:
    path = provider().AUDIT_LOG
    if path is None:
        raise ClusterError("PERFSLO_CLUSTER=existing: where that cluster keeps its audit log is not known.")
    print(path)


def image(names: list[str]) -> None:
    cluster = provider()
    if not cluster.healthy():
        raise ClusterError("There is no healthy cluster to give images to. `make cluster` brings one up.")
    cluster.load(names or list(images.USUAL))


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two changes at once would undo each other's work."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another cluster.py to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="bring a cluster up (nothing happens when it is) and print its kubeconfig's path")
    removal = commands.add_parser("down", help="remove every trace of it but the cache")
    removal.add_argument("--cache", action="store_true", help="the cached programs and images too")
    commands.add_parser("status", help="whether it is healthy; exits 1 when not")
    commands.add_parser("kubeconfig", help="print the path of the administrator's kubeconfig")
    commands.add_parser("audit-log", help="print the path of the API server's audit log")
    commands.add_parser("bin", help="print the directory that holds kubectl, helm, and vegeta")
    module = commands.add_parser("source", help="print the directory with the files of a Go module, for tests")
    module.add_argument("name", choices=binaries.SOURCES)
    commands.add_parser("prometheus-2", help="print the path of a Prometheus 2, as Debian has it, for tests")
    build = commands.add_parser("image", help="build images and load them into the cluster")
    build.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"of {', '.join(images.IMAGES)}; {', '.join(images.USUAL)} when none is named",
    )
    return parser


def _run(arguments: argparse.Namespace) -> None:
    match arguments.command:
        case "status":
            status()
        case "kubeconfig":
            print(provider().KUBECONFIG)
        case "audit-log":
            audit_log()
        case "bin":
            print(programs(provider().PARTS))
        case "prometheus-2":
            print(debian.program("prometheus", "usr/bin/prometheus"))
        case "source":
            print(binaries.source(arguments.name))
        case "up":
            with _one_at_a_time():
                up()
        case "down":
            with _one_at_a_time():
                down(cache=arguments.cache)
        case "image":
            with _one_at_a_time():
                image(arguments.names)


def main() -> int:
    parser = _parser()
    arguments = parser.parse_args()
    if unknown := set(getattr(arguments, "names", [])) - set(images.IMAGES):
        parser.error(f"there is no image {', '.join(sorted(unknown))}; there are {', '.join(images.IMAGES)}")
    try:
        _run(arguments)
    except ClusterError as error:
        say(f"\nerror: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
