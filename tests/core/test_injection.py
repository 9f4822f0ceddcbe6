"""Ten thousand cases of any Unicode where people write names, labels, matchers and queries.

What a real parser reads are exactly the selectors that were meant, or the text was refused.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest

from perfslo.core import custom, queries
from perfslo.core.measure import Wanted
from perfslo.core.promql import Matcher, Query, Together, metric_name, one_of
from perfslo.edges import presets
from tests.core.test_measure import spec

CASES, PARTS = 10_000, 10
PRESETS = [variant for preset in presets.load().values() for variant in preset.variants]
HOSTILE = (
    '"', '"} or vector(1) #', "\\", '\\"', "\n", "`", "'", "{", "}", "{name}", "$1", "${1}", "|", ".*", ")", "[",
    "\x00", "\ufffd", "\u2028", "\u202e", "𝔸", "#", "[5m]", "$window", "or", "le", "__name__",
)  # fmt: skip
OPERATORS = ("=", "!=", "=~", "!~")
Selector = tuple[str | None, tuple[tuple[str, str, str], ...]]


def text(chance: random.Random) -> str:
    """Pieces that mean something to somebody, between characters of any plane."""

    def piece() -> str:
        if chance.random() < 0.6:
            return chance.choice(HOSTILE)
        code = chance.choice(
            (chance.randrange(0x20, 0x7F), chance.randrange(0xD800), chance.randrange(0xE000, 0x110000))
        )
        return chr(code)

    return "".join(piece() for _ in range(chance.randrange(6)))


def word(chance: random.Random) -> str:
    """A label's name, or text where one is expected; the API refuses names that begin with two underscores."""
    return chance.choice(("route", "code", "a_b")) if chance.random() < 0.9 else text(chance).replace("__name__", "")


def matcher(chance: random.Random, operators: tuple[str, ...] = OPERATORS) -> Matcher | None:
    """None where it is refused."""
    label, op, value = word(chance), chance.choice(operators), text(chance)
    if op in ("=~", "!~"):
        value = one_of([value])  # the parser refuses what is no regular expression, as Prometheus does
    try:
        return Matcher(label, op, value)
    except ValueError:
        assert not label.isidentifier() or not label.isascii()
        return None


def read(query: str) -> Iterator[Selector]:
    """Every selector, as the parser sees it."""

    def visit(node: Any) -> Iterator[Selector]:
        if isinstance(node, promql_parser.VectorSelector):
            assert not node.matchers.or_matchers
            operators = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
            yield (
                node.name,
                tuple(
                    (each.name, operators[str(each.op).rpartition(".")[2]], each.value)
                    for each in node.matchers.matchers
                ),
            )
        for part in ("expr", "lhs", "rhs", "vector_selector"):
            if (child := getattr(node, part, None)) is not None:
                yield from visit(child)
        for child in getattr(node, "args", None) or ():
            yield from visit(child)

    yield from visit(promql_parser.parse(query))


def plain(*matchers: Matcher) -> tuple[tuple[str, str, str], ...]:
    return tuple((each.label, each.op, each.value) for each in matchers)


def meant(query: Query | Together, namespaces: list[str]) -> Iterator[Selector]:
    for part in (part for _, part in query.parts) if isinstance(query, Together) else (query,):
        yield part.metric, plain(*part.matchers, *part.identity.where(namespaces))


def of_a_preset(chance: random.Random) -> None:
    matchers = [one for one in (matcher(chance) for _ in range(chance.randrange(4))) if one]
    objective = {"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}}
    wanted = Wanted("shop/web", "shop", frozenset({"web"}), "default", "any", spec(objective))
    subject = queries.subject(wanted, chance.choice(PRESETS), tuple(matchers))
    asks = {**queries.sampling_asks(subject), **queries.value_asks(subject, 15.0, 15.0)}
    query = asks[chance.choice(sorted(asks))].query
    assert isinstance(query, Query | Together)
    namespaces = [text(chance) for _ in range(chance.randrange(3))]
    assert list(read(query.text(namespaces))) == list(meant(query, namespaces))


def of_a_name(chance: random.Random) -> None:
    name = text(chance)
    try:
        query = Query(name, (Matcher("a", "=", text(chance)),))
    except ValueError:
        with pytest.raises(ValueError, match="not a metric name"):
            metric_name(name)
        return
    assert list(read(query.text(["x"]))) == list(meant(query, ["x"]))


def of_an_slos_own(chance: random.Random) -> None:
    equal = OPERATORS[:2]  # $window may stand in a value, but would spoil an expression
    chosen = [[one for one in (matcher(chance, equal) for _ in range(chance.randrange(3))) if one] for _ in range(2)]
    left, right = (f"x{{{','.join(map(str, matchers))}}}" for matchers in chosen)
    written = f'increase({left}[$window]) or label_replace({right}, "to", "$1", "from", "(.*)")'
    tenant, admins = Matcher("namespace", "=", text(chance)), Matcher("cluster", "=", text(chance))
    its = {"buckets": written[:2048], "requests": written[:2048]}
    wanted = Wanted(
        "shop/web", "shop", frozenset({"web"}), "default", "custom", spec(preset="custom", custom={"queries": its})
    )
    parsed = wanted.spec.metrics.custom
    assert parsed
    assert parsed.queries
    assert not custom.problems(parsed)
    sent = custom.Queries(parsed.queries, (tenant, admins)).buckets(60.0).query
    window = [[Matcher(one.label, one.op, one.value.replace("$window", "60s")) for one in each] for each in chosen]
    assert list(read(sent)) == [("x", plain(*each, *sorted({tenant, admins}))) for each in window]


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_leaves_its_place(part: int) -> None:
    chance = random.Random(part)
    for number in range(CASES // PARTS):
        (of_a_preset, of_a_name, of_an_slos_own)[number % 3](chance)
