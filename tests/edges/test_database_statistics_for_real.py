"""Slow statements and missing indexes, from a real Prometheus that scrapes what postgres_exporter exposes."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from perfslo.core.databases import Statistics
from perfslo.core.levers import advice
from perfslo.core.model import Missing
from perfslo.edges import presets
from perfslo.edges.prometheus.source import Sources
from perfslo.edges.prometheus.statistics import REFRESH_SECONDS, DatabaseStatistics
from perfslo.settings import Database, Source
from tests.edges.exporter import Exporter
from tests.edges.prometheus_process import PROMETHEUS_2, PROMETHEUS_3, prometheus
from tests.edges.test_prometheus_source import PATIENCE_SECONDS

pytestmark = pytest.mark.cluster

SLOW, QUICK = "SELECT * FROM orders WHERE customer = $1", "SELECT 1"
BEGAN = time.time()


def _page() -> str:
    """8 calls a second of 120 ms by two users, 90 of 1 ms; two workers help to read a large table, none a small one."""
    t = time.time() - BEGAN
    return f"""
pg_stat_statements_seconds_total{{user="web",datname="shop",queryid="-42"}} {t * 0.72}
pg_stat_statements_seconds_total{{user="job",datname="shop",queryid="-42"}} {t * 0.24}
pg_stat_statements_seconds_total{{user="web",datname="shop",queryid="7"}} {t * 0.09}
pg_stat_statements_calls_total{{user="web",datname="shop",queryid="-42"}} {t * 6}
pg_stat_statements_calls_total{{user="job",datname="shop",queryid="-42"}} {t * 2}
pg_stat_statements_calls_total{{user="web",datname="shop",queryid="7"}} {t * 90}
pg_stat_statements_query_id{{queryid="-42",query="{SLOW}"}} 1
pg_stat_statements_query_id{{queryid="7",query="{QUICK}"}} 1
pg_stat_user_tables_n_live_tup{{datname="shop",schemaname="public",relname="orders"}} 150000
pg_stat_user_tables_seq_scan{{datname="shop",schemaname="public",relname="orders"}} {t * 3 * 8}
pg_stat_user_tables_seq_tup_read{{datname="shop",schemaname="public",relname="orders"}} {t * 8 * 150_000}
pg_stat_user_tables_idx_scan{{datname="shop",schemaname="public",relname="orders"}} {t * 2}
pg_stat_user_tables_n_live_tup{{datname="shop",schemaname="public",relname="flags"}} 12
pg_stat_user_tables_seq_scan{{datname="shop",schemaname="public",relname="flags"}} {t * 50}
pg_stat_user_tables_seq_tup_read{{datname="shop",schemaname="public",relname="flags"}} {t * 50 * 12}
pg_stat_user_tables_idx_scan{{datname="shop",schemaname="public",relname="flags"}} 0
"""


@pytest.mark.parametrize("program", [PROMETHEUS_3, PROMETHEUS_2])
async def test_the_offenders_are_found(program: str, tmp_path: Path) -> None:
    with Exporter({"/metrics": _page}) as exporter:
        jobs = [{"job_name": "postgres", "static_configs": [{"targets": [exporter.address]}]}]
        with prometheus(tmp_path, jobs, program=program) as address:
            source = Source(address=address)
            sources = Sources({"default": source}, presets.load())
            matchers = [{"label": "job", "value": "postgres"}]
            database = Database.model_validate({"maxConnections": 9, "statistics": {"matchers": matchers}})
            later = itertools.count(step=REFRESH_SECONDS)
            statistics = DatabaseStatistics({"pg": database}, {"default": source}, sources.look, lambda: next(later))
            deadline = time.monotonic() + PATIENCE_SECONDS
            while isinstance(known := statistics.of("shop", "pg"), Missing) or not known.statements:
                assert time.monotonic() < deadline, known
                await asyncio.sleep(0.5)
                await statistics.refresh({"pg"})
            await sources.close()
    assert isinstance(known, Statistics)
    slow, index = advice.recommendations(known, 0.2)
    assert slow.startswith("slow statement in shop: 120ms on average, ")
    assert f"91% of the database's time: {SLOW} (queryid -42)" in slow
    assert index.startswith("index missing on shop.public.orders: ")
    assert " all its 150000 rows are read " in index
