"""What is recommended about a database, from answers in the form of postgres_exporter's series."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from perfslo.core import enforce
from perfslo.core.databases import Statistics
from perfslo.core.levers import advice
from perfslo.core.measure import Row
from perfslo.core.model import Missing, Standing
from perfslo.core.promql import MAX_QUERY_CHARACTERS, Matcher
from perfslo.core.status import report
from tests.core.turns import observation, spec, turn

PROMISED_SECONDS = 0.2
ORDERS = {"datname": "shop", "schemaname": "public", "relname": "orders"}
SELECT = "SELECT * FROM orders WHERE customer = $1"


def statement(query_id: str, seconds: float, calls: float, query: str = "") -> list[Row]:
    """`seconds` spent on it a second, by so many `calls`."""
    labels = {"datname": "shop", "queryid": query_id}
    told = [Row({"part": "text", "queryid": query_id, "query": query}, 1.0)] if query else []
    return [Row({**labels, "part": "seconds"}, seconds), Row({**labels, "part": "calls"}, calls), *told]


def table(rows: float, scans: float, indexed: float = 0.0, live: float = 0.0, **labels: str) -> list[Row]:
    """`rows` read a second, by so many scans."""
    parts = {"rows": rows, "scans": scans, "indexed": indexed, "live": live}
    return [Row({**ORDERS, **labels, "part": part}, value) for part, value in parts.items()]


def total(seconds: float) -> Row:
    return Row({"part": "total"}, seconds)


def advised(*rows: Row) -> tuple[str, ...]:
    return advice.recommendations(advice.read(rows), PROMISED_SECONDS)


def test_a_slow_statement_is_told_with_its_numbers() -> None:
    assert advised(total(1.2), *statement("42", 0.6, 5.0, SELECT)) == (
        "slow statement in shop: 120ms on average, 5.0/s, 50% of the database's time: "
        f"{SELECT} (queryid 42). EXPLAIN (ANALYZE, BUFFERS) shows why",
    )


def test_the_exporter_need_not_tell_the_texts() -> None:
    (told,) = advised(total(0.6), *statement("42", 0.6, 5.0))
    assert "time: queryid 42." in told


@pytest.mark.parametrize(
    ("seconds", "calls", "worth_it"),
    [
        (0.11, 5.0, True),  # more than a tenth of the promise
        (0.11, 6.0, False),  # each is quick
        (0.09, 1.0, False),  # slow, but seldom
        (0.5, 0.0, False),  # nobody knows how long each takes
    ],
)
def test_only_what_is_slow_and_takes_much_of_the_time(seconds: float, calls: float, worth_it: bool) -> None:
    assert bool(advised(total(1.0), *statement("42", seconds, calls))) is worth_it


def test_the_biggest_come_first_and_there_are_few() -> None:
    rows = [row for number in range(1, 7) for row in statement(str(number), number / 10, 1.0)]
    told = advised(total(2.1), *rows)
    assert [words.rpartition("queryid ")[2].split(".")[0] for words in told] == ["6", "5", "4"]


@pytest.mark.parametrize(
    ("scans", "live"),
    [
        (2.0, 120_000),
        (6.0, 120_000),  # two workers help with each
        (100.0, 120_000),  # most of these stop at the first rows
        (2.0, 0.0),  # a standby does not know how many there are
    ],
)
def test_a_table_that_is_read_as_a_whole_often(scans: float, live: float) -> None:
    assert advised(*table(rows=240_000, scans=scans, indexed=0.5, live=live)) == (
        "index missing on shop.public.orders: all its 120000 rows are read 120 times a minute, beside 30.0 scans of an "
        "index. Look for the statements that filter or join it by a column without one",
    )


def test_a_large_table_of_which_little_is_read() -> None:
    assert advised(*table(rows=1_000, scans=100.0, live=1_000_000)) == ()


@pytest.mark.parametrize(
    ("rows", "scans", "worth_it"),
    [
        (10_000, 1.0, True),
        (9_000, 1.0, False),  # a small one is best read as a whole
        (1_000_000, 0.01, False),  # a report
        (1_000_000, 0.0, False),  # how often is not known
    ],
)
def test_only_large_tables_and_no_reports(rows: float, scans: float, worth_it: bool) -> None:
    assert bool(advised(*table(rows, scans))) is worth_it


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_what_is_no_number_is_left_out(value: float) -> None:
    whole = statement("7", 0.6, 5.0)
    for broken in (0, 1):
        rows = [row._replace(value=value) if number == broken else row for number, row in enumerate(whole)]
        assert advised(total(1.0), *table(1.0, 1.0), *rows) == ()


def test_names_cannot_move_the_cursor_nor_fill_the_screen() -> None:
    name = "o\x1b[2J\nrders\u202e"
    told = advised(total(1.0), *statement("1", 0.6, 1.0, "SELECT\n\t1 " + "x" * 900), *table(10**6, 1.0, relname=name))
    assert len(told) == 2
    assert all(words.isprintable() and len(words) < 400 for words in told)


def test_one_query_that_a_parser_takes_with_the_matchers_on_every_selector() -> None:
    hostile = Matcher("instance", "=", 'pg"} or vector(1) #')
    query = advice.asked([hostile, Matcher("cluster", "=", "eu")])
    selectors = [*enforce.selectors(query)]
    assert {name for name, _ in selectors} == {
        "pg_stat_statements_seconds_total",
        "pg_stat_statements_calls_total",
        "pg_stat_statements_query_id",
        "pg_stat_user_tables_seq_tup_read",
        "pg_stat_user_tables_seq_scan",
        "pg_stat_user_tables_n_live_tup",
        "pg_stat_user_tables_idx_scan",
    }
    assert all(hostile in matchers and len(matchers) == 2 for _, matchers in selectors)
    assert len(query) < MAX_QUERY_CHARACTERS


# --- shown -----------------------------------------------------------------------------------------------------------

LEVERS: dict[str, Any] = {"database": {"budget": "pg", "connectionsPerReplica": 10}}


def shown(known: Statistics | Missing) -> Any:
    seen = replace(observation(), standing=Standing(statistics=known))
    case = turn(seen=seen, promise=spec(levers=LEVERS), enabled_levers=("replicas", "database"))
    return next(lever for lever in report(case, None).levers if lever.name == "database")


def test_the_status_has_them_at_the_database_lever() -> None:
    read = advice.read([total(1.0), *statement("42", 0.6, 5.0, SELECT)])
    lever = shown(read)
    assert len(lever.recommendations) == 1
    assert SELECT in lever.recommendations[0]
    assert lever.message is None


@pytest.mark.parametrize(
    ("rows", "recommended"),
    [
        ([], 0),
        (table(10**6, 1.0), 1),  # how these are read is counted by default
    ],
)
def test_statements_that_nobody_counts_are_unknown_and_not_well(rows: list[Row], recommended: int) -> None:
    lever = shown(advice.read(rows))
    assert "--collector.stat_statements" in lever.message
    assert len(lever.recommendations) == recommended


def test_statistics_that_were_not_answered_are_told_as_such_and_unwanted_ones_are_not() -> None:
    assert "statements: timed out" in shown(Missing("PrometheusUnreachable", "timed out")).message
    assert shown(Missing("NotMeasured")).message is None
