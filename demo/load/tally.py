"""Counts what became of each request, by the second in which it was due."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from demo.load.rates import Segment


@dataclasses.dataclass
class Second:
    """One second of the replay: what was due in it, and the latencies of what has ended (a failure: the timeout)."""

    rps: float = 0.0
    due: int = 0
    unsent: int = 0
    errors: int = 0
    latencies: list[float] = dataclasses.field(default_factory=list)

    @property
    def sent(self) -> int:
        return self.due - self.unsent

    @property
    def pending(self) -> int:
        return max(0, self.sent - len(self.latencies))

    def over(self, threshold_seconds: float) -> int:
        """Requests that failed or took longer than the threshold; what is still pending counts among them."""
        return self.pending + sum(latency > threshold_seconds for latency in self.latencies)


class Tally:
    """Results of a replay of `segments`, judged against `threshold_seconds`.

    **Over** means bad for the user: failed, timed out, or slower than the threshold. A request without an answer is
    over as soon as it is older than the threshold, so a second may be judged once it lies further back than that.
    """

    def __init__(self, segments: Sequence[Segment], threshold_seconds: float, timeout_seconds: float) -> None:
        self.threshold_seconds = threshold_seconds
        self.timeout_seconds = timeout_seconds
        self.late_seconds = 0.0
        self._segments = segments
        self._due = [[math.floor(due) for due in segment.planned_seconds()] for segment in segments]
        self.seconds = [Second() for _ in range(math.ceil(segments[-1].end_seconds))]
        for segment, dues in zip(segments, self._due, strict=True):
            for number in range(math.floor(segment.start_seconds), math.ceil(segment.end_seconds)):
                self.seconds[number].rps = segment.rps
            for due in dues:
                self.seconds[due].due += 1
        self._answered = [0] * len(segments)

    def add(self, segment: int, number: int, sent_seconds: float, latency_seconds: float, succeeded: bool) -> None:
        """Counts the result of request `number` of a segment, sent at `sent_seconds` of the replay."""
        dues = self._due[segment]
        if number >= len(dues):
            return
        second = self.seconds[dues[number]]
        second.latencies.append(latency_seconds if succeeded else self.timeout_seconds)
        second.errors += not succeeded
        self._answered[segment] += 1
        due = self._segments[segment].start_seconds + number / self._segments[segment].rps
        self.late_seconds = max(self.late_seconds, sent_seconds - due)

    def finish(self, segment: int) -> None:
        """Says that no more results of a segment will come: its last requests, those without any, were never sent."""
        dues = self._due[segment]
        for due in dues[self._answered[segment] :]:
            self.seconds[due].unsent += 1

    def line(self, number: int, now_seconds: float, window_seconds: int) -> dict[str, object]:
        """The record of one second: its own counts, and percentiles and `over_ratio` of the window that ends with it.

        A pending request enters the percentiles with its age, which is a lower bound of its latency.
        """
        second = self.seconds[number]
        window = range(max(0, number - window_seconds + 1), number + 1)
        latencies = sorted(
            latency
            for at in window
            for latency in self.seconds[at].latencies + [now_seconds - at - 1] * self.seconds[at].pending
        )
        over = sum(self.seconds[at].over(self.threshold_seconds) for at in window)
        return {
            "t": number,
            "rps": round(second.rps, 3),
            "sent": second.sent,
            "errors": second.errors,
            "over": second.over(self.threshold_seconds),
            "pending": second.pending,
            "p50_ms": _percentile_ms(latencies, 50),
            "p95_ms": _percentile_ms(latencies, 95),
            "p99_ms": _percentile_ms(latencies, 99),
            "over_ratio": round(over / len(latencies), 4) if latencies else None,
        }

    def summary(self) -> dict[str, object]:
        """All seconds once more, with every result in: to be judged by."""
        return {
            "threshold_ms": self.threshold_seconds * 1000,
            "late_ms": round(self.late_seconds * 1000),
            "sent": [second.sent for second in self.seconds],
            "unsent": sum(second.unsent for second in self.seconds),
            "errors": [second.errors for second in self.seconds],
            "over": [second.over(self.threshold_seconds) for second in self.seconds],
        }


def _percentile_ms(ordered: Sequence[float], percentile: int) -> float | None:
    """Nearest rank; None when there is nothing to rank."""
    if not ordered:
        return None
    return round(ordered[max(0, math.ceil(len(ordered) * percentile / 100) - 1)] * 1000, 1)
