"""Which rows of an answer belong to which SLO."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from perfslo.core.custom import Text
from perfslo.core.measure import Answer, Row, Wanted
from perfslo.core.model import Missing
from perfslo.core.promql import Identity, Key, Pods, Query, Together, Which

BY_POD = Pods()


class Table:
    """Rows of one query, by whose they are."""

    def __init__(
        self, rows: Iterable[Row], identity: Identity = BY_POD, unanswered: Mapping[str, Missing] | None = None
    ) -> None:
        """`unanswered`: the namespaces that there is no answer about, and why."""
        self._identity = identity
        self._unanswered = unanswered or {}
        self._rows: dict[Key, list[Row]] = {}
        for row in rows:
            self._rows.setdefault(identity.key(row.labels), []).append(row)

    def of(self, wanted: Wanted) -> Answer:
        """The rows of an SLO, whichever of its names they go by."""
        if problem := self._unanswered.get(wanted.namespace):
            return problem
        keys = self._identity.keys(wanted.namespace, wanted.workloads, wanted.name)
        return tuple(row for key in keys for row in self._rows.get(key, ()))


def identity(query: Query | Together | Text | Which) -> Identity:
    """How a query's rows say whose they are."""
    return query.parts[0][1].identity if isinstance(query, Together) else query.identity
