"""Did the story really happen? Explicit rules over what the load generator and Prometheus saw."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

WINDOW_SECONDS = 15
"""What "now" means here: short enough to notice trouble, long enough to hold hundreds of requests."""
STAY_SECONDS = 30
"""Back under target counts only when it stays so for this long, until the load falls."""
MINUTE_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Acts:
    """Seconds from the start of the load: it is calm until `rise`, high until `fall`, calm again until `end`."""

    rise: int
    fall: int
    end: int


@dataclasses.dataclass(frozen=True)
class Load:
    """The generator's own record, by second of start: requests sent, and those that failed or were too slow."""

    planned: Sequence[float]
    sent: Sequence[int]
    over: Sequence[int]

    def over_ratio(self, start: int, end: int) -> float:
        """The share of bad requests among those started in [start, end); 0 when there were none."""
        return sum(self.over[start:end]) / max(1, sum(self.sent[start:end]))


@dataclasses.dataclass(frozen=True)
class Sample:
    """Something seen at `second` of the load."""

    second: float
    value: float


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was recorded; `promised_ratio` of requests may be over, 0.05 for P95."""

    acts: Acts
    promised_ratio: float
    load: Load
    prometheus_over: Sequence[Sample]
    replicas: Sequence[Sample]
    reasons: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One rule, whether it held, and the numbers."""

    rule: str
    held: bool
    numbers: str


def judge(evidence: Evidence) -> list[Finding]:
    """Every rule of the story, in its order; the story happened when all of them held."""
    return [
        _load_as_planned(evidence),
        _calm_at_first(evidence),
        _target_left(evidence),
        _target_left_by_prometheus(evidence),
        _scaled_and_said_why(evidence),
        _back_and_staying(evidence),
        _back_by_prometheus(evidence),
        _replicas_followed(evidence),
        _no_minute_over(evidence),
    ]


def recovered_at(evidence: Evidence) -> int | None:
    """The second from which every window until the load falls is within the promise; None when the last one is not."""
    windows = list(_windows(evidence.acts.rise, evidence.acts.fall, WINDOW_SECONDS))
    kept = None
    for start in reversed(windows):
        if evidence.load.over_ratio(start, start + WINDOW_SECONDS) > evidence.promised_ratio:
            break
        kept = start
    return kept


def _load_as_planned(evidence: Evidence) -> Finding:
    load = evidence.load
    sent, planned = sum(load.sent), sum(load.planned)
    high = sum(load.planned[evidence.acts.rise : evidence.acts.fall]) / (evidence.acts.fall - evidence.acts.rise)
    calm = sum(load.planned[: evidence.acts.rise]) / evidence.acts.rise
    return Finding(
        "the load tripled, and at least 99 % of the planned requests were sent",
        sent >= 0.99 * planned and high >= 2.99 * calm,
        f"{calm:g} -> {high:g} requests/s, {sent} of {planned:.0f} sent",
    )


def _calm_at_first(evidence: Evidence) -> Finding:
    start = max(0, evidence.acts.rise - STAY_SECONDS)
    ratio = evidence.load.over_ratio(start, evidence.acts.rise)
    return Finding(
        f"before that the target held: at most {evidence.promised_ratio:.0%} over in the last {STAY_SECONDS} s",
        ratio <= evidence.promised_ratio,
        f"{ratio:.1%} over",
    )


def _target_left(evidence: Evidence) -> Finding:
    worst = max(
        evidence.load.over_ratio(start, start + WINDOW_SECONDS)
        for start in _windows(evidence.acts.rise, evidence.acts.fall, WINDOW_SECONDS)
    )
    return Finding(
        f"then the target was left: more than {evidence.promised_ratio:.0%} over in some {WINDOW_SECONDS} s",
        worst > evidence.promised_ratio,
        f"{worst:.1%} over at worst",
    )


def _target_left_by_prometheus(evidence: Evidence) -> Finding:
    worst = max(
        (s.value for s in _between(evidence.prometheus_over, evidence.acts.rise, evidence.acts.fall)), default=0
    )
    return Finding("Prometheus saw that too", worst > evidence.promised_ratio, f"{worst:.1%} over at worst")


def _scaled_and_said_why(evidence: Evidence) -> Finding:
    before = _last(evidence.replicas, evidence.acts.rise)
    peak = max((s.value for s in _between(evidence.replicas, evidence.acts.rise, evidence.acts.end)), default=0)
    return Finding(
        "the operator added replicas and said why",
        peak > before and any(evidence.reasons),
        f"{before:.0f} -> {peak:.0f} replicas; {evidence.reasons[0] if evidence.reasons else 'no reason given'}",
    )


def _back_and_staying(evidence: Evidence) -> Finding:
    back = recovered_at(evidence)
    held = back is not None and evidence.acts.fall - back >= STAY_SECONDS
    return Finding(
        f"the target held again and stayed so, for {STAY_SECONDS} s at least, until the load fell "
        f"(every {WINDOW_SECONDS} s within the promise)",
        held,
        "not back"
        if back is None
        else f"back {back - evidence.acts.rise} s after the rise, "
        f"{evidence.load.over_ratio(back, evidence.acts.fall):.1%} over from then on",
    )


def _back_by_prometheus(evidence: Evidence) -> Finding:
    last = list(_between(evidence.prometheus_over, evidence.acts.fall - STAY_SECONDS, evidence.acts.fall))
    worst = max((s.value for s in last), default=1)
    return Finding(
        f"Prometheus saw that too, in the last {STAY_SECONDS} s",
        worst <= evidence.promised_ratio,
        f"{worst:.1%} over at worst" if last else "no samples",
    )


def _replicas_followed(evidence: Evidence) -> Finding:
    peak = max((s.value for s in _between(evidence.replicas, evidence.acts.rise, evidence.acts.end)), default=0)
    final = _last(evidence.replicas, evidence.acts.end)
    return Finding("after the load fell, replicas followed", 0 < final < peak, f"{peak:.0f} -> {final:.0f} replicas")


def _no_minute_over(evidence: Evidence) -> Finding:
    worst = max(
        evidence.load.over_ratio(start, start + MINUTE_SECONDS)
        for start in _windows(evidence.acts.fall, evidence.acts.end, MINUTE_SECONDS)
    )
    return Finding(
        "and no minute was over the target on the way down",
        worst <= evidence.promised_ratio,
        f"{worst:.1%} over in the worst minute",
    )


def _windows(start: int, end: int, width: int) -> Iterator[int]:
    """Starts of all windows of `width` inside [start, end); at least one, cut short when there is no room."""
    return iter(range(start, max(start, end - width) + 1))


def _between(samples: Sequence[Sample], start: float, end: float) -> Iterator[Sample]:
    return (sample for sample in samples if start <= sample.second <= end)


def _last(samples: Sequence[Sample], second: float) -> float:
    """The latest value seen until `second`; 0 when there is none."""
    return max((s for s in samples if s.second <= second), key=lambda s: s.second, default=Sample(0, 0)).value
