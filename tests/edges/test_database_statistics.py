"""How often databases are asked about, and who is told. The source is a double."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from perfslo.core.databases import Statistics
from perfslo.core.measure import Answer, Row
from perfslo.core.model import Missing
from perfslo.edges.prometheus.statistics import REFRESH_SECONDS, DatabaseStatistics
from perfslo.errors import ConfigurationError
from perfslo.settings import Database, Source, load

ROWS = (Row({"part": "total"}, 1.0), Row({"part": "seconds", "datname": "shop", "queryid": "1"}, 1.0))


class Bench:
    """A clock and a source that answers as it is told to."""

    def __init__(self, **databases: Database) -> None:
        self.now = 1000.0
        self.answer: Answer = ROWS
        self.asked: list[tuple[str, str]] = []
        sources = {
            "default": Source.model_validate({"address": "http://x", "matchers": [{"label": "c", "value": "eu"}]})
        }
        self.statistics = DatabaseStatistics(databases, sources, self._look, lambda: self.now)

    async def _look(self, source: str, query: str) -> Answer:
        self.asked.append((source, query))
        return self.answer


def database(**statistics: object) -> Database:
    return Database.model_validate({"maxConnections": 9, "statistics": statistics})


async def test_each_is_asked_once_in_a_while_and_one_at_a_time() -> None:
    bench = Bench(a=database(), b=database(), unused=database(), silent=Database(max_connections=9))
    for _ in range(5):
        await bench.statistics.refresh({"a", "b", "silent", "undefined"})
        bench.now += 15
    assert len(bench.asked) == 2
    bench.now += REFRESH_SECONDS
    await bench.statistics.refresh({"a", "b"})
    assert len(bench.asked) == 3


async def test_the_matchers_of_the_source_and_of_the_database_are_asked_with() -> None:
    bench = Bench(pg=database(matchers=[{"label": "instance", "op": "=~", "value": "pg.*"}]))
    await bench.statistics.refresh({"pg"})
    ((source, query),) = bench.asked
    assert source == "default"
    assert query.count('{c="eu",instance=~"pg.*"}') == query.count("{")


async def test_only_who_may_is_told() -> None:
    bench = Bench(pg=database(namespaces=["shop"]))
    assert bench.statistics.of("shop", "pg") == Missing("NotMeasured")
    await bench.statistics.refresh({"pg"})
    assert isinstance(bench.statistics.of("shop", "pg"), Statistics)
    assert bench.statistics.of("elsewhere", "pg") == Missing("NotMeasured")
    assert bench.statistics.of("shop", "other") == Missing("NotMeasured")


async def test_what_is_not_answered_is_unknown_until_it_is() -> None:
    bench = Bench(pg=database())
    await bench.statistics.refresh({"pg"})
    bench.answer = Missing("PrometheusUnreachable", "no route")
    bench.now += REFRESH_SECONDS
    await bench.statistics.refresh({"pg"})
    assert bench.statistics.of("shop", "pg") == bench.answer
    bench.answer = ROWS
    bench.now += REFRESH_SECONDS
    await bench.statistics.refresh({"pg"})
    assert isinstance(bench.statistics.of("shop", "pg"), Statistics)


def test_a_source_that_is_not_defined_is_refused_at_start(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    whole = {"sources": {}, "databases": {"pg": {"maxConnections": 9, "statistics": {"source": "nowhere"}}}}
    file.write_text(yaml.safe_dump(whole))
    with pytest.raises(ConfigurationError, match=r"databases\.pg\.statistics\.source: no source 'nowhere' is defined"):
        load(file)
