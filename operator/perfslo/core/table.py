"""Which rows of an answer belong to which SLO."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from perfslo.core.custom import Text
from perfslo.core.measure import Answer, Row, Wanted
from perfslo.core.model import Missing
from perfslo.core.promql import Identity, Key, Pods, Query, Together, Which

BY_POD = Pods()


class Table:
    """Rows of one query, by whose they are.

    That is then no more among their labels. What is left is the same for thousands of them, and they share it.
    """

    def __init__(
        self, rows: Iterable[Row], identity: Identity = BY_POD, unanswered: Mapping[str, Missing] | None = None
    ) -> None:
        """`unanswered`: the namespaces that there is no answer about, and why."""
        self._identity = identity
        self._unanswered = unanswered or {}
        self._rows: dict[Key, list[Row]] = {}
        known: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
        whose = frozenset(identity.rows)
        for labels, value, buckets in rows:
            left = tuple([item for item in labels.items() if item[0] not in whose])
            if (shared := known.get(left)) is None:
                shared = known[left] = dict(left)
            self._rows.setdefault(identity.key(labels), []).append(Row(shared, value, buckets))

    def of(self, wanted: Wanted) -> Answer:
        """The rows of an SLO, whichever of its names they go by."""
        if problem := self._unanswered.get(wanted.namespace):
            return problem
        keys = {
            key: None for name in wanted.names for key in self._identity.keys(wanted.namespace, wanted.workloads, name)
        }
        return tuple(row for key in keys for row in self._rows.get(key, ()))


def identity(query: Query | Together | Text | Which) -> Identity:
    """How a query's rows say whose they are."""
    return query.parts[0][1].identity if isinstance(query, Together) else query.identity


def parts(answer: Answer) -> Callable[[str], Answer]:
    """Tells the rows of a query's parts (see `promql.Together`) by their names."""
    if isinstance(answer, Missing):
        return lambda _: answer
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in answer:
        rows[row.labels.get("part", "")].append(row)
    return lambda part: tuple(rows.get(part, ()))
