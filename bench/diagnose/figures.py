"""What the runs come to: shares with their numbers of runs, and the confusion matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from bench.diagnose.faults import FAULTS, LOAD, SEVERITIES
from bench.diagnose.watched import NOTHING, Done


class Share(NamedTuple):
    """So many of these runs."""

    hits: int
    runs: int

    def __str__(self) -> str:
        return f"{self.hits} of {self.runs}" + (f" ({self.hits / self.runs:.1%})" if self.runs else "")


def summary(runs: Sequence[Done]) -> dict[str, Share]:
    """Right verdicts, by severity, of single faults and of two at once; false ones where nothing is the matter."""
    single = [one for one in runs if len(one.faults) == 1 and FAULTS[one.faults[0]].expected]
    two = [one for one in runs if len(one.faults) > 1]
    benign = [one for one in runs if len(one.faults) == 1 and not FAULTS[one.faults[0]].expected]
    quiet = [one for one in benign if FAULTS[one.faults[0]].is_quiet]
    alike = [one for one in benign if not FAULTS[one.faults[0]].is_quiet]
    return {
        "medium and severe, right": _right([one for one in single if one.severity != "mild"]),
        **{
            f"{severity}, right": _right([one for one in single if one.severity == severity]) for severity in SEVERITIES
        },
        "two at once, one of them": _right(two),
        "quiet, false": _false(quiet),
        "look-alikes, false": _false(alike),
    }


def table(runs: Sequence[Done]) -> str:
    """The confusion matrix of single faults: what was done, and how often it was found to be what."""
    found = verdicts(runs)
    lines = ["| injected | severity | " + " | ".join(found) + " |", "| --- | --- |" + " --- |" * len(found)]
    for fault in FAULTS:
        for severity in SEVERITIES:
            counts = Counter(one.found for one in runs if (one.faults, one.severity) == ((fault,), severity))
            if counts:
                lines.append(f"| {fault} | {severity} | " + " | ".join(str(counts[f] or "") for f in found) + " |")
    return "\n".join(lines)


def missed_of_two(runs: Sequence[Done]) -> str:
    """Of two at once those that were found to be neither."""
    missed = Counter(f"{' + '.join(sorted(one.faults))}: {one.found}" for one in runs if _is_missed_of_two(one))
    return "\n".join(f"- {words} ({count})" for words, count in sorted(missed.items()))


def verdicts(runs: Sequence[Done]) -> list[str]:
    """All that single faults were taken for."""
    return sorted({one.found for one in runs if len(one.faults) == 1})


def _is_missed_of_two(one: Done) -> bool:
    return len(one.faults) > 1 and not is_right(one)


def is_right(one: Done) -> bool:
    """Whether it was found to be what was injected, or one of them."""
    return any(one.found in FAULTS[fault].expected for fault in one.faults)


def _right(runs: Sequence[Done]) -> Share:
    return Share(sum(map(is_right, runs)), len(runs))


def _false(runs: Sequence[Done]) -> Share:
    return Share(sum(one.found not in {*LOAD, NOTHING} for one in runs), len(runs))
