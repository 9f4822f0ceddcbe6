"""Slow statements and missing indexes, from a database's own statistics: advice for people, never executed.

    asked -> (the edge asks once for all SLOs that name a budget) -> rows -> Statistics -> sentences for each SLO

The series are those of postgres_exporter: its collector `stat_statements` (off by default; with its `include_query` it
tells the statements' texts, too) reads pg_stat_statements; its collector `stat_user_tables` says how tables are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from perfslo.core import text
from perfslo.core.databases import Statement, Statistics, Table
from perfslo.core.measure import Row
from perfslo.core.model import Missing
from perfslo.core.promql import Matcher, label_replace, seconds

WINDOW_SECONDS = 600.0
"""Ten scrapes at the longest usual interval. A report that runs for a minute does not fill it."""
LARGE_SHARE = 0.1
"""Of a database's time: what takes less is not worth anybody's day."""
SLOW_SHARE = 0.1
"""Of the promised response time, that a statement takes: a request sends several."""
LARGE_TABLE_ROWS = 10_000.0
"""Fewer are read in about a millisecond, and the planner is right to do without an index."""
FREQUENT_READS = 1 / 60
"""A second: what reads all of a table less often than once a minute is a report or a backup."""
MOST = 3
"""Sentences of a kind: when these are mended, others take their place."""
MAX_STATEMENT = 120
"""Characters of a statement that are shown; as many as the exporter tells by default."""

UNCOUNTED = Missing(
    "SeriesMissing",
    "there is no pg_stat_statements_seconds_total: is postgres_exporter scraped, with --collector.stat_statements, do "
    "the matchers choose it, and has the database that it connects to the extension pg_stat_statements?",
)
"""Of statements. How tables are read is counted by default, without the extension."""

_TOP = int(1 / LARGE_SHARE)
"""There are no more with a large share."""
_STATEMENT = ("datname", "queryid")
_TABLE = ("datname", "schemaname", "relname")


def asked(matchers: Iterable[Matcher]) -> str:
    """One query for all of it. `matchers` choose the database's exporter; they go onto every selector."""
    where = ",".join(map(str, matchers))

    def each(labels: Iterable[str], series: str) -> str:
        return f"sum by ({', '.join(labels)}) ({rate(series)})"

    def rate(series: str) -> str:
        return f"rate({series}{{{where}}}[{seconds(WINDOW_SECONDS)}])"

    slowest = f"topk({_TOP}, {each(_STATEMENT, 'pg_stat_statements_seconds_total')})"
    longest = f"topk({_TOP}, {each(_TABLE, 'pg_stat_user_tables_seq_tup_read')})"
    parts = {
        "total": f"sum({rate('pg_stat_statements_seconds_total')})",
        "seconds": slowest,
        "calls": f"{each(_STATEMENT, 'pg_stat_statements_calls_total')} and {slowest}",
        "text": f"max by (queryid, query) (pg_stat_statements_query_id{{{where}}}) and on (queryid) {slowest}",
        "rows": longest,
        "scans": f"{each(_TABLE, 'pg_stat_user_tables_seq_scan')} and {longest}",
        "live": f"max by ({', '.join(_TABLE)}) (pg_stat_user_tables_n_live_tup{{{where}}}) and {longest}",
        "indexed": f"{each(_TABLE, 'pg_stat_user_tables_idx_scan')} and {longest}",
    }
    return " or ".join(label_replace(query, "part", name, "", "") for name, query in parts.items())


def read(rows: Iterable[Row]) -> Statistics:
    """What the answer says; rows that are no numbers, or lack what belongs to them, are left out."""
    parts: dict[str, dict[tuple[str, ...], float]] = {}
    texts: dict[str, str] = {}
    for row in rows:
        part, its = row.labels.get("part", ""), row.labels
        if part == "text":
            texts.setdefault(its.get("queryid", ""), _plain(its.get("query", "")))
        elif 0.0 <= row.value < float("inf"):
            labels = _STATEMENT if part in ("seconds", "calls") else _TABLE if part != "total" else ()
            parts.setdefault(part, {})[tuple(its.get(label, "") for label in labels)] = row.value
    total = parts.get("total", {}).get((), 0.0)
    statements = tuple(_statements(parts, texts, total)) if "seconds" in parts else None
    return Statistics(statements, tuple(_tables(parts)))


def _statements(
    parts: Mapping[str, Mapping[tuple[str, ...], float]], texts: Mapping[str, str], total: float
) -> Iterator[Statement]:
    calls = parts.get("calls", {})
    for key, spent in sorted(parts.get("seconds", {}).items(), key=lambda item: -item[1]):
        if (number := calls.get(key, 0.0)) > 0 and total > 0:
            database, query_id = key
            words = texts.get(query_id, "")
            yield Statement(_plain(query_id), _plain(database), words, number, spent / number, min(1.0, spent / total))


def _tables(parts: Mapping[str, Mapping[tuple[str, ...], float]]) -> Iterator[Table]:
    scans, live, indexed = (parts.get(part, {}) for part in ("scans", "live", "indexed"))
    for key, read_per_second in sorted(parts.get("rows", {}).items(), key=lambda item: -item[1]):
        # Each worker of a parallel scan counts as one. And a standby, or a server that crashed, knows of no live rows.
        by_scan = read_per_second / number if (number := scans.get(key, 0.0)) > 0 else 0.0
        if (rows := max(by_scan, live.get(key, 0.0))) > 0:
            yield Table(".".join(map(_plain, key)), rows, read_per_second / rows, indexed.get(key, 0.0))


def _plain(words: str) -> str:
    """On one line, without what would move a terminal's cursor: whoever may create a table may name it."""
    printable = "".join(character if character.isprintable() else " " for character in words)
    return text.clipped(" ".join(printable.split()), MAX_STATEMENT)


def recommendations(statistics: Statistics, promised_seconds: float) -> tuple[str, ...]:
    """Sentences about what is worth mending where requests were promised in `promised_seconds`, biggest first."""
    slow = [
        _about_statement(one)
        for one in statistics.statements or ()
        if one.share >= LARGE_SHARE and one.mean_seconds >= SLOW_SHARE * promised_seconds
    ]
    unindexed = [
        _about_table(one)
        for one in statistics.tables
        if one.rows >= LARGE_TABLE_ROWS and one.reads_per_second >= FREQUENT_READS
    ]
    return (*slow[:MOST], *unindexed[:MOST])


def _about_statement(one: Statement) -> str:
    told = f"{one.text} (queryid {one.query_id})" if one.text else f"queryid {one.query_id}"
    return (
        f"slow statement in {one.database}: {text.seconds(one.mean_seconds)} on average, "
        f"{text.rate(one.per_second)}/s, {text.percent(one.share)} of the database's time: {told}. "
        "EXPLAIN (ANALYZE, BUFFERS) shows why"
    )


def _about_table(one: Table) -> str:
    return (
        f"index missing on {one.name}: all its {text.count(one.rows)} rows are read "
        f"{text.rate(60 * one.reads_per_second)} times a minute, beside {text.rate(60 * one.index_scans_per_second)} "
        "scans of an index. Look for the statements that filter or join it by a column without one"
    )
