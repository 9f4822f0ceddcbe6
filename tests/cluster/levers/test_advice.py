"""A slow statement and a missing index in a real PostgreSQL, by way of the real postgres_exporter."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from demo import render
from perfslo.core.levers.advice import WINDOW_SECONDS
from perfslo.core.model import JSON
from perfslo.edges.prometheus.statistics import REFRESH_SECONDS
from tests.cluster.shop import QUICK, Shop
from tests.cluster.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.long]

EXPORTER_IMAGE = "localhost/perfslo/postgres-exporter:dev"
PORT = 9187
ROWS = 400_000
PREPARED = (
    "CREATE EXTENSION pg_stat_statements",
    "CREATE TABLE orders AS SELECT id, id % 1000 AS customer, repeat('x', 200) AS note "
    f"FROM generate_series(1, {ROWS}) id",
    "ANALYZE orders",
)
WANTED = "SELECT count(*) FROM orders WHERE customer = 42"
"""What somebody asks again and again, beside the shop's own look-ups, which are many and quick."""
NORMALIZED = WANTED.replace("42", "$1")
PAUSE_SECONDS = 0.2
LEVER = {"database": {"budget": "main", "connectionsPerReplica": 4}}


def test_people_are_told_of_what_a_real_exporter_counts_and_nothing_is_done_about_it(stage: Stage) -> None:
    shop = Shop(stage, behaviour={**QUICK, "query_ms": 5})
    matchers = [{"label": "namespace", "value": stage.namespace}, {"label": "container", "value": "exporter"}]
    shop.open([*LEVER], databases={"main": {"maxConnections": 100, "statistics": {"matchers": matchers}}})
    for statement in PREPARED:
        sql(stage, statement)
    run(stage, "visitor", visitor())
    run(stage, "exporter", exporter())
    shop.load.wait_until(shop.load.now() + 10 * stage.tempo.scrape_seconds)  # else it is asked once more, much later

    shop.promise(LEVER, signals=["pool-wait"])
    slow = told(stage, "slow statement in postgres: ")
    unindexed = told(stage, "index missing on postgres.public.orders: ")
    print(slow, unindexed, sep="\n")
    assert f" of the database's time: {NORMALIZED} (queryid " in slow
    found = re.search(r"all its (\d+) rows are read (\S+) times a minute", unindexed)
    assert found
    rows, reads = int(found[1]), float(found[2]) * WINDOW_SECONDS / 60
    asked, scans = sql(
        stage,
        "SELECT calls, seq_scan FROM pg_stat_statements, pg_stat_user_tables "
        f"WHERE query = '{NORMALIZED}' AND relname = 'orders'",
    ).split("|")
    print(f"{reads:.0f} reads told of {asked}, which are {scans} scans to PostgreSQL")
    assert rows == pytest.approx(ROWS, rel=0.05)
    assert reads < 1.5 * int(asked), "each reads all of it once, however many workers share its scan"

    assert not sql(stage, r"SELECT query FROM pg_stat_statements WHERE query ~* '^\s*(explain|create index)'")
    assert not sql(stage, "SELECT indexname FROM pg_indexes WHERE tablename = 'orders'")


def told(stage: Stage, beginning: str) -> str:
    """The recommendation that begins so, once there is one."""

    def look() -> str:
        levers: list[dict[str, Any]] = stage.status("shop").get("levers", [])
        said = [words for lever in levers for words in lever.get("recommendations", ())]
        return next((words for words in said if words.startswith(beginning)), "")

    return stage.eventually(f"it is told of the {beginning}", look, seconds=2 * REFRESH_SECONDS, pause=3)


def sql(stage: Stage, statement: str) -> str:
    return stage.kubectl(
        "exec", "deployment/database", "--container=postgres", "--",
        "psql", "--host=/tmp", "--username=nobody", "--no-align", "--tuples-only", f"--command={statement}", "postgres",
    ).strip()  # fmt: skip


def exporter() -> JSON:
    return {
        "image": EXPORTER_IMAGE,
        "args": ["--collector.stat_statements", "--collector.stat_statements.include_query"],
        "env": [{"name": "DATA_SOURCE_NAME", "value": "postgresql://nobody@database:6432/shop?sslmode=disable"}],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/metrics", "port": PORT}, "periodSeconds": 3, "timeoutSeconds": 3},
    }


def visitor() -> JSON:
    again = f'printf \'%s \\\\watch {PAUSE_SECONDS}\\n\' "$0" | exec psql --quiet --no-psqlrc "$1"'
    return {
        "image": render.STORES_IMAGE,
        "command": ["sh", "-c", again, WANTED, "postgresql://nobody@database:6432/shop"],
    }


def run(stage: Stage, name: str, container: JSON) -> None:
    """In a pod, ready, that is scraped if it listens."""
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)}
    containers = [{"name": name, "imagePullPolicy": "Never", **container}]
    spec = {"terminationGracePeriodSeconds": 1, "enableServiceLinks": False, "containers": containers}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "annotations": annotations}, "spec": spec}
    stage.apply(json.dumps(pod))
    stage.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=90s")
