"""Queries that people write: every selector gets the tenant's matcher, and nothing else changes."""

from __future__ import annotations

import promql_parser
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perfslo.core.enforce import MAX_DEPTH, Selector, parse, selectors, with_matcher
from perfslo.core.promql import Matcher, quote

OURS = Matcher("namespace", "=", "shop")

WRITTEN = [
    ("up", 'up{namespace="shop"}'),
    ('up{namespace="bank"}', 'up{namespace="bank",namespace="shop"}'),
    ('{__name__=~"a|b"}', '{__name__=~"a|b",namespace="shop"}'),
    ('rate(c{a!~"x|y"}[5m] offset 1m)', 'rate(c{a!~"x|y",namespace="shop"}[300s] offset 60s)'),
    ("c[1m30s] offset -1500ms", 'c{namespace="shop"}[90s] offset -1500ms'),
    ("c @ 12.5", 'c{namespace="shop"} @ 12.500'),
    ("c @ end() offset 1m", 'c{namespace="shop"} @ end() offset 60s'),
    ("sum(c)", 'sum(c{namespace="shop"})'),
    ("sum by (le, job) (rate(c[1m]))", 'sum by (le, job) (rate(c{namespace="shop"}[60s]))'),
    ("topk without (a) (3, c)", 'topk without (a) (3, c{namespace="shop"})'),
    ('count_values("v", c)', 'count_values("v", c{namespace="shop"})'),
    ("quantile(scalar(q), c)", 'quantile(scalar(q{namespace="shop"}), c{namespace="shop"})'),
    (
        "max_over_time(rate(c[1m])[1h:30s] @ start() offset 5m)",
        'max_over_time(rate(c{namespace="shop"}[60s])[3600s:30s] @ start() offset 300s)',
    ),
    ("avg_over_time(c[1h:])", 'avg_over_time(c{namespace="shop"}[3600s:])'),
    ("(a + b) * -c ^ 2", '(a{namespace="shop"} + b{namespace="shop"}) * -c{namespace="shop"} ^ 2'),
    (
        "a / on(x, y) group_left(z) b",
        'a{namespace="shop"} / on(x, y) group_left(z) b{namespace="shop"}',
    ),
    ("a * ignoring(x) group_right() b", 'a{namespace="shop"} * ignoring(x) group_right() b{namespace="shop"}'),
    ("a > bool 0.5", 'a{namespace="shop"} > bool 0.5'),
    (
        "a and b or c unless on() d",
        'a{namespace="shop"} and b{namespace="shop"} or c{namespace="shop"} unless on() d{namespace="shop"}',
    ),
    (
        'label_replace(a, "b", "$1", "c", "(.*)\\\\.x")',
        'label_replace(a{namespace="shop"}, "b", "$1", "c", "(.*)\\\\.x")',
    ),
    ("vector(1e3) + time()", "vector(1000) + time()"),
    ('{"a.b"}', '{__name__="a.b",namespace="shop"}'),
    ("a # }\n+ b", 'a{namespace="shop"} + b{namespace="shop"}'),
    ("a{b=`\"}`, c='\\''}", 'a{b="\\"}",c="\'",namespace="shop"}'),
]


@pytest.mark.parametrize(("text", "enforced"), WRITTEN, ids=[text for text, _ in WRITTEN])
def test_every_selector_gets_the_matcher(text: str, enforced: str) -> None:
    assert with_matcher(text, OURS) == enforced
    assert selectors(enforced) == tuple((name, (*matchers, OURS)) for name, matchers in selectors(text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no expression"),
        ("sum(", "not PromQL"),
        ("up{namespace=}", "not PromQL"),
        ("unheard_of(up)", "unknown function"),
        ('up{a=~"("}', "not PromQL"),
        ("{}", "not PromQL"),
        ("\ud800", "lone surrogate"),
        ('up{a="b" or namespace="bank"}', "`or` between matchers"),
        ("info(up)", "target_info of every namespace"),
        ("a + fill(0) b", "fill"),
        ('{"a.b"="c"}', "not a label name"),
        ("(" * MAX_DEPTH + "up" + ")" * MAX_DEPTH, "nested deeper"),
        ("-" * 4000 + "up", "nested deeper"),
    ],
)
def test_what_cannot_be_enforced_is_refused(text: str, why: str) -> None:
    for refuse in (lambda: parse(text), lambda: with_matcher(text, OURS)):
        with pytest.raises(ValueError, match=why):
            refuse()


def test_the_parsers_own_printer_would_let_a_value_out() -> None:
    """Why there is one here: the day this fails, look whether it can go."""
    tree = promql_parser.parse('up{a="\\"} or up{b=\\""}')
    assert str(tree) == 'up{a=""} or up{b=""}'


any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
hostile = st.sampled_from(
    ['"', '"} or vector(1) #', "\\", '\\"', "\n", "`", "'", "{", "}", "$1", ")", "\x00", "\ufffd"]
)
value = st.lists(st.one_of(any_text, hostile), max_size=3).map("".join)
NOT_A_LABEL = {"__name__", "inf", "nan"}
"""A number, for a parser that expects a label's name between the words of a query, however it is written."""
label = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,6}", fullmatch=True).filter(lambda it: it.lower() not in NOT_A_LABEL)
name = st.sampled_from(["up", "a:b", "http_requests_total"])
matcher = st.builds(Matcher, label, st.sampled_from(["=", "!="]), value)


@st.composite
def selector(draw: st.DrawFn, chosen: list[Selector]) -> str:
    its, matchers = draw(name), tuple(draw(st.lists(matcher, max_size=3)))
    chosen.append((its, matchers))
    return f"{its}{{{','.join(map(str, matchers))}}}"


@st.composite
def query(draw: st.DrawFn) -> tuple[str, list[Selector]]:
    chosen: list[Selector] = []

    def vector(depth: int) -> str:
        shape = draw(st.integers(0, 7 if depth else 1))
        match shape:
            case 0:
                return draw(selector(chosen))
            case 1:
                return f"rate({draw(selector(chosen))}[{draw(st.integers(1, 90))}m] offset 5m)"
            case 2:
                return f"{vector(depth - 1)} or {vector(depth - 1)}"
            case 3:
                return f"({vector(depth - 1)} / on({draw(label)}) group_left() {vector(depth - 1)})"
            case 4:
                return f"topk by ({draw(label)}) (3, {vector(depth - 1)})"
            case 5:
                return f"max_over_time(({vector(depth - 1)})[1h:1m])"
            case 6:
                return f'label_replace({vector(depth - 1)}, "to", {quote(draw(value))}, "from", "(.*)")'
        return f"-{vector(depth - 1)}"

    return vector(3), chosen


@settings(max_examples=300, deadline=None)
@given(query(), value)
@example(('up{a="\\"} or up{b=\\""}', [("up", (Matcher("a", "=", '"} or up{b="'),))]), '"} or up{c="')
def test_whatever_is_written_each_selector_is_kept_and_enforced(
    case: tuple[str, list[Selector]], namespace: str
) -> None:
    text, chosen = case
    ours = Matcher("namespace", "=", namespace)
    assert selectors(text) == tuple(chosen)
    enforced = with_matcher(text, ours)
    assert selectors(enforced) == tuple((its, (*matchers, ours)) for its, matchers in chosen)
    assert enforced.isascii()
    assert enforced.isprintable()
    assert shape(enforced) == shape(text)


def shape(text: str) -> list[str]:
    """The tree without what is in the braces."""

    def walk(node: object) -> list[str]:
        found = [f"{type(node).__name__} {getattr(node, 'op', '')} {getattr(node, 'range', '')}"]
        for part in ("param", "expr", "lhs", "rhs"):
            if (child := getattr(node, part, None)) is not None:
                found += walk(child)
        for child in getattr(node, "args", None) or ():
            found += walk(child)
        return found

    return walk(promql_parser.parse(text))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        enforced = with_matcher(text, OURS)
    except ValueError:
        return
    assert all(OURS in matchers for _, matchers in selectors(enforced))
