"""Which hour of which SLOs the sources are asked about next, for the error budget.

An hour of raw series is a heavy question: 240 samples of each bucket of each pod. So each source gets one batch a
cycle, after all else is done: one hour of some SLOs that ask the same things, newest hour first. Ten thousand SLOs in
20 batches are through with an hour in 5 minutes, and with four weeks of history in 2 to 3 days.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from perfslo.core.frozen import dataclass
from perfslo.core.measure import Wanted

MOST_SLOS = 500
"""With 36 bucket series each, 4 million samples: a fraction of a second for a server, and a tenth of what it takes."""
MOST_NAMESPACE_CHARACTERS = 8000
"""So that queries name their namespaces: one about every namespace would count others' requests too."""

Kind = tuple[object, ...]
"""What SLOs of one batch have in common."""


@dataclass(frozen=True, slots=True)
class Batch:
    """SLOs of one kind, and the hour (Unix seconds / 3600) that is asked about."""

    hour: int
    kind: Kind
    wanted: tuple[Wanted, ...]


def batches(
    unasked: Iterable[tuple[Wanted, int]], resting: Container[Kind] = (), sizes: Mapping[Kind, int] | None = None
) -> Iterator[Batch]:
    """One for each source, from each SLO's newest hour that was not asked about.

    `resting` kinds are left out; `sizes` says how many SLOs of a kind are asked about at most, instead of MOST_SLOS.
    """
    by_source: dict[str, dict[tuple[int, Kind], list[Wanted]]] = defaultdict(lambda: defaultdict(list))
    for wanted, hour in unasked:
        if (kind := _kind(wanted)) not in resting:
            by_source[wanted.source][hour, kind].append(wanted)
    for groups in by_source.values():
        (hour, kind), those = max(groups.items(), key=lambda group: (group[0][0], len(group[1])))
        yield Batch(hour, kind, tuple(_first(those, (sizes or {}).get(kind, MOST_SLOS))))


def _kind(wanted: Wanted) -> Kind:
    metrics = wanted.spec.metrics
    own = (objective.latency.matchers for objective in wanted.spec.objectives if objective.latency)
    return wanted.source, wanted.preset, metrics.custom, metrics.matchers, tuple(own)


def _first(wanted: Sequence[Wanted], size: int) -> Iterator[Wanted]:
    namespace, room = "", MOST_NAMESPACE_CHARACTERS
    for one in sorted(wanted, key=lambda one: one.namespace)[:size]:
        if one.namespace != namespace:
            namespace, room = one.namespace, room - len(one.namespace) - 1
        if room < 0:
            return
        yield one
