"""The story is believed only when each of its claims shows in the numbers."""

import dataclasses

import pytest

from demo import judge
from demo.judge import Acts, Evidence, Load, Sample

ACTS = Acts(rise=60, fall=180, end=360)
PLANNED = [20.0] * 60 + [60.0] * 120 + [20.0] * 180


def told(over: dict[range, int] | None = None, **changes: object) -> Evidence:
    """A story as it should be: breach from second 62 to 100, unless `over` (bad requests by second) says otherwise."""
    bad = [0] * ACTS.end
    for seconds, count in ({range(62, 100): 50} if over is None else over).items():
        for second in seconds:
            bad[second] = count
    evidence = Evidence(
        acts=ACTS,
        promised_ratio=0.05,
        load=Load(planned=PLANNED, sent=[round(rate) for rate in PLANNED], over=bad),
        prometheus_over=[Sample(t, 0.6 if 70 <= t < 110 else 0.01) for t in range(0, 360, 5)],
        replicas=[Sample(0, 2), Sample(75, 4), Sample(90, 6), Sample(300, 3)],
        reasons=["scale 2 -> 4: ..."],
    )
    return dataclasses.replace(evidence, **changes)  # type: ignore[arg-type]


def broken(evidence: Evidence) -> list[int]:
    return [number for number, finding in enumerate(judge.judge(evidence)) if not finding.held]


def test_the_story_as_it_should_be() -> None:
    assert broken(told()) == []
    assert judge.recovered_at(told()) == 100


@pytest.mark.parametrize(
    ("evidence", "rule"),
    [
        (told(load=Load(PLANNED, [rate // 2 for rate in map(int, PLANNED)], told().load.over)), 0),
        (told({range(62, 100): 50, range(30, 60): 2}), 1),
        (told({}), 2),
        (told(prometheus_over=[Sample(t, 0.01) for t in range(0, 360, 5)]), 3),
        (told(replicas=[Sample(0, 2)]), 4),
        (told(reasons=[]), 4),
        (told({range(62, 160): 50}), 5),
        (told({range(62, 100): 50, range(170, 180): 9}), 5),
        (told(prometheus_over=[Sample(t, 0.6 if t >= 70 else 0) for t in range(0, 360, 5)]), 6),
        (told(prometheus_over=[Sample(t, 0.6) for t in range(0, 140, 5)]), 6),
        (told(replicas=[Sample(0, 2), Sample(75, 6)]), 7),
        (told({range(62, 100): 50, range(250, 310): 2}), 8),
    ],
)
def test_each_claim_that_does_not_show_is_found(evidence: Evidence, rule: int) -> None:
    assert rule in broken(evidence)


def test_a_short_spike_on_the_way_down_is_not_a_minute_over_the_target() -> None:
    assert broken(told({range(62, 100): 50, range(250, 252): 20})) == []
