"""What the runs come to: shares with their numbers of runs, and the confusion matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
    """The confusion matrix of single faults, by severity: what was done, and how often it was found to be what."""
    rows = ((f"{fault}, {severity}", by_class(runs, severity)[fault]) for fault in FAULTS for severity in SEVERITIES)
    return matrix({name: counts for name, counts in rows if counts})


def matrix(rows: Mapping[str, Counter[str]]) -> str:
    """A confusion matrix for people."""
    found = verdicts(rows)
    lines = ["| injected | " + " | ".join(found) + " |", "| --- |" + " --- |" * len(found)]
    for name, counts in rows.items():
        lines.append(f"| {name} | " + " | ".join(str(counts[verdict] or "") for verdict in found) + " |")
    return "\n".join(lines)


def by_class(runs: Sequence[Done], *severities: str) -> dict[str, Counter[str]]:
    """What single faults were taken for; `severities` are all when none is named."""
    wanted = [one for one in runs if len(one.faults) == 1 and one.severity in (severities or SEVERITIES)]
    return {fault: Counter(one.found for one in wanted if one.faults == (fault,)) for fault in FAULTS}


def missed_of_two(runs: Sequence[Done]) -> str:
    """Of two at once those that were found to be neither."""
    missed = Counter(f"{' + '.join(sorted(one.faults))}: {one.found}" for one in runs if _is_missed_of_two(one))
    return "\n".join(f"- {words} ({count})" for words, count in sorted(missed.items()))


def verdicts(rows: Mapping[str, Counter[str]]) -> list[str]:
    """All that anything was taken for."""
    return sorted({verdict for counts in rows.values() for verdict in counts})


def _is_missed_of_two(one: Done) -> bool:
    return len(one.faults) > 1 and not is_right(one)


def is_right(one: Done) -> bool:
    """Whether it was found to be what was injected, or one of them."""
    return any(one.found in FAULTS[fault].expected for fault in one.faults)


def _right(runs: Sequence[Done]) -> Share:
    return Share(sum(map(is_right, runs)), len(runs))


def _false(runs: Sequence[Done]) -> Share:
    return Share(sum(one.found not in {*LOAD, NOTHING} for one in runs), len(runs))
