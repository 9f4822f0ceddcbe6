"""Questions about whole hours: of the series themselves, or of what the chart's rules recorded from them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from perfslo.core import queries, scrape
from perfslo.core.frozen import replace
from perfslo.core.measure import NOT_MEASURED, Series
from perfslo.core.memory import HOUR_SECONDS
from perfslo.core.model import Missing
from perfslo.core.preset import Preset
from perfslo.core.promql import Over, Pods, Query, Recorded
from perfslo.core.queries import Answers, Ask, Asks, Subject, value_asks
from perfslo.core.scrape import Sampling
from perfslo.core.timescale import TimeScale

RECORDED_SECONDS = 300
"""How often the chart's rules record requests, and over which window: each request is in one sample."""


def recorded_name(preset: str, variant: int) -> str:
    """What a preset is called in the metrics that rules record: each of its alternative names has a number."""
    return f"{preset}-{variant}" if variant else preset


def recordings(name: str, preset: Preset) -> Mapping[str, Query]:
    """What rules record of a preset, by metric: the requests of RECORDED_SECONDS, by workload, in every namespace.

    Nothing of proxies: what their labels say is believed where they run only, which a recorded series does not tell.
    """
    if not isinstance(preset.identity, Pods):
        return {}
    everything = Subject("", (), preset, (), (("", ()),))
    return {
        _recorded_metric(name, query): replace(query, window_seconds=RECORDED_SECONDS)
        for query in _counting(everything).values()
    }


def asks(subject: Subject, hour: int, recorded_of: str = "") -> Asks:
    """The requests of a whole hour (Unix seconds / 3600), as the second round asks for those of a window.

    With the name of what rules recorded in `recorded_of`: of that, where it is of the same requests. Rules record
    classic histograms, of all requests.
    """
    plain, at = {*subject.source_matchers, *subject.preset.fixed}, (hour + 1) * HOUR_SECONDS
    asked = {}
    for name, query in _counting(subject).items():
        chosen = not plain.issuperset(query.matchers)
        if recorded_of and isinstance(query.identity, Pods) and not (chosen or query.native):
            query = Query(
                metric=_recorded_metric(recorded_of, query),
                matchers=subject.source_matchers,
                over=Over.SUM,
                keep=(*query.keep, query.mark.name) if query.mark else query.keep,
                identity=Recorded(query.identity.namespace_label, query.identity.pod_label),
            )
        asked[name] = Ask(subject.source, replace(query, window_seconds=HOUR_SECONDS, at_seconds=at))
    return asked


def series(subject: Subject, answers: Answers) -> Series | None:
    """The same of an hour: whatever the series are now, then they were fresh. None when something was not answered."""
    if any(isinstance(answer, Missing) for answer in answers.values()):
        return None
    whole = Sampling(0.0, tuple(math.inf for _ in scrape.WINDOWS_SECONDS))
    return queries.series(subject, (whole, NOT_MEASURED), None, None, answers)


def _counting(subject: Subject) -> Mapping[str, Query]:
    """What the second round counts over its window."""
    usual = TimeScale()
    return {
        name: ask.query
        for name, ask in value_asks(subject, usual.scrape_seconds, None).items()
        if isinstance(ask.query, Query) and ask.query.over is Over.INCREASE
        if ask.query.window_seconds == usual.window_seconds
    }


def _recorded_metric(preset: str, query: Query) -> str:
    what = "buckets" if "le" in query.keep else "requests"
    return f"perfslo:{preset.replace('-', '_')}_{what}:increase5m"
