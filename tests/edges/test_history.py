"""What becomes of questions about the past that are not answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from perfslo.core.measure import Series, Wanted, missing
from perfslo.core.model import Missing
from perfslo.edges.history import REST_SECONDS, History
from perfslo.edges.prometheus.source import Sources
from tests.core.turns import spec


class Source:
    """Answers for at most `bears` SLOs at once."""

    def __init__(self, bears: int) -> None:
        self.bears = bears
        self.asked: list[int] = []

    async def count(self, wanted: Sequence[Wanted], hour: int) -> Mapping[str, Series]:
        self.asked.append(len(wanted))
        return {one.key: missing(Missing("Any")) for one in wanted} if len(wanted) <= self.bears else {}


def slos(count: int) -> list[tuple[Wanted, int]]:
    return [
        (Wanted(f"shop/{i}", "shop", frozenset({str(i)}), "default", "http-server", spec()), 9) for i in range(count)
    ]


async def test_a_batch_that_was_too_much_rests_and_comes_back_smaller() -> None:
    source = Source(bears=30)
    now = 1000.0
    history = History(cast(Sources, source), lambda: now)
    for _ in range(4):
        await history.ask(slos(100))
        await history.ask(slos(100))
        now += REST_SECONDS + 1
    assert source.asked == [100, 50, 25, 35, 17, 27], "half as many each time, until it is answered; then some more"


async def test_nothing_to_ask_is_not_asked() -> None:
    source = Source(bears=1)
    assert await History(cast(Sources, source)).ask([]) == []
    assert source.asked == []
