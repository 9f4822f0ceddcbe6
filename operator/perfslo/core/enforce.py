"""PromQL that somebody wrote, read by a real parser and written anew with one more matcher on every selector.

    parse -> every node that is known -> text, with our own quoting

Only what is understood is written: a node of a kind that is not listed here is refused, and so is what reaches series
without a selector of its own. The parser's own printer of changed trees is not used: it does not escape what it puts
between quotes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import promql_parser as promql

from perfslo.core.promql import Matcher, label_name, metric_name, quote, seconds

MAX_DEPTH = 64
"""Nobody writes deeper ones by hand; it bounds the recursion."""

_OPERATORS = (
    (promql.MatchOp.Equal, "="),
    (promql.MatchOp.NotEqual, "!="),
    (promql.MatchOp.Re, "=~"),
    (promql.MatchOp.NotRe, "!~"),
)
_GROUPS = (
    (promql.VectorMatchCardinality.ManyToOne, "group_left"),
    (promql.VectorMatchCardinality.OneToMany, "group_right"),
)
_REFUSED = {"info": "it reads target_info of every namespace: join with * on(...) group_left(...) instead"}

Selector = tuple[str | None, tuple[Matcher, ...]]
"""A metric's name, if one is written before the braces, and the matchers."""


def parse(text: str) -> promql.Expr:
    """The query as a tree. Raises ValueError that says what is wrong, for text that is no PromQL or is refused here."""
    try:
        tree = promql.parse(text)
    except UnicodeEncodeError as error:
        raise ValueError("not Unicode text: it holds a lone surrogate") from error
    except ValueError as error:
        raise ValueError(f"not PromQL: {error}") from error
    _write(tree, (), MAX_DEPTH)
    return tree


def with_matcher(text: str, *matchers: Matcher) -> str:
    """The query with the matchers on every selector, beside those already there (all of which must hold).

    The result is one line of ASCII in which each selector is as the parser understood it. Raises ValueError as `parse`.
    """
    return _write(parse(text), matchers, MAX_DEPTH)


def selectors(text: str) -> tuple[Selector, ...]:
    """Every selector of the query, in the order of the text. Raises ValueError as `parse`."""
    return tuple((node.name, _matchers(node)) for node in _selectors(parse(text)))


def selector_text(selector: Selector) -> str:
    """A selector of its own, without range and offset."""
    name, matchers = selector
    return f"{metric_name(name) if name else ''}{{{','.join(map(str, matchers))}}}"


def _selectors(node: Any) -> Iterator[promql.VectorSelector]:
    match node:
        case promql.VectorSelector():
            yield node
        case promql.MatrixSelector():
            yield node.vector_selector
        case promql.BinaryExpr():
            yield from _selectors(node.lhs)
            yield from _selectors(node.rhs)
        case promql.Call():
            for argument in node.args:
                yield from _selectors(argument)
        case promql.AggregateExpr():
            yield from _selectors(node.param)
            yield from _selectors(node.expr)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from _selectors(node.expr)


def _write(node: Any, added: tuple[Matcher, ...], depth: int) -> str:
    if depth == 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels: write it flatter")

    def inner(child: Any) -> str:
        return _write(child, added, depth - 1)

    match node:
        case promql.NumberLiteral():
            return str(node)
        case promql.StringLiteral():
            return quote(node.val)
        case promql.VectorSelector():
            return _selector(node, added) + _moved(node)
        case promql.MatrixSelector():
            chosen = node.vector_selector
            return f"{_selector(chosen, added)}[{_duration(node.range)}]{_moved(chosen)}"
        case promql.SubqueryExpr():
            step = _duration(node.step) if node.step else ""
            return f"{inner(node.expr)}[{_duration(node.range)}:{step}]{_moved(node)}"
        case promql.ParenExpr():
            return f"({inner(node.expr)})"
        case promql.UnaryExpr():
            return f"-{inner(node.expr)}"
        case promql.BinaryExpr():
            return f"{inner(node.lhs)} {node.op}{_matching(node.modifier)} {inner(node.rhs)}"
        case promql.Call():
            if why := _REFUSED.get(node.func.name):
                raise ValueError(f"{node.func.name}() may not be used: {why}")
            return f"{node.func.name}({', '.join(map(inner, node.args))})"
        case promql.AggregateExpr():
            arguments = [inner(each) for each in (node.param, node.expr) if each is not None]
            return f"{node.op}{_grouping(node.modifier)}({', '.join(arguments)})"
    raise ValueError(f"{type(node).__name__} is not understood here: write it in another way")


def _selector(node: promql.VectorSelector, added: tuple[Matcher, ...]) -> str:
    return selector_text((node.name, (*_matchers(node), *added)))


def _matchers(node: promql.VectorSelector) -> tuple[Matcher, ...]:
    if node.matchers.or_matchers:
        raise ValueError("`or` between matchers is not PromQL: write two selectors with `or` between them")
    return tuple(
        Matcher(each.name, next(text for op, text in _OPERATORS if op == each.op), each.value)
        for each in node.matchers.matchers
    )


def _moved(node: Any) -> str:
    """`@` and `offset`."""
    text = ""
    match node.at:
        case None:
            pass
        case promql.AtModifier(type=promql.AtModifierType.Start):
            text = " @ start()"
        case promql.AtModifier(type=promql.AtModifierType.End):
            text = " @ end()"
        case at:
            text = f" @ {at.at.timestamp():.3f}"
    if node.offset:
        text += f" offset {'-' if node.offset < timedelta() else ''}{_duration(abs(node.offset))}"
    return text


def _duration(length: timedelta | None) -> str:
    if length is None:
        raise ValueError("a range has no length: write one such as [5m]")
    return seconds(length / timedelta(seconds=1))


def _matching(modifier: promql.BinModifier | None) -> str:
    if modifier is None:
        return ""
    if modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None:
        raise ValueError("fill() may not be used: join with `or` instead")
    text = " bool" if modifier.return_bool else ""
    if modifier.matching:
        word = "on" if modifier.matching.type == promql.LabelModifierType.Include else "ignoring"
        text += f" {word}({_labels(modifier.matching.labels)})"
    for card, word in _GROUPS:
        if modifier.card == card:
            text += f" {word}({_labels(modifier.group_labels or [])})"
    return text


def _grouping(modifier: promql.AggModifier | None) -> str:
    if modifier is None:
        return ""
    word = "by" if modifier.type == promql.AggModifierType.By else "without"
    return f" {word} ({_labels(modifier.labels)}) "


def _labels(names: list[str]) -> str:
    return ", ".join(map(label_name, names))
