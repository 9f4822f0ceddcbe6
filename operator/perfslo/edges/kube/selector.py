"""Label selectors in the form a Scale's status gives them: `app=shop,tier in (a,b),!legacy`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

Test = Callable[[Mapping[str, str]], bool]

_REQUIREMENT = re.compile(
    r"\s*(?:!\s*(?P<absent>[\w./-]+)|(?P<key>[\w./-]+)\s*"
    r"(?:(?P<op>==?|!=)\s*(?P<value>[\w.-]*)|(?P<set>in|notin)\s*\((?P<values>[^)]*)\))?)\s*(?:,|$)"
)


@dataclass(frozen=True, slots=True)
class Selector:
    equal: tuple[tuple[str, str], ...]
    """The labels that must have one value: what an index can be asked for."""
    tests: tuple[Test, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        return bool(self.tests) and all(test(labels) for test in self.tests)


NOTHING = Selector((), ())


@lru_cache(maxsize=16_384)
def parse(text: str) -> Selector:
    """An empty or unreadable selector matches nothing: a Scale without one does not say which pods are its own."""
    equal: list[tuple[str, str]] = []
    tests: list[Test] = []
    position = 0
    while position < len(text):
        found = _REQUIREMENT.match(text, position)
        if not found:
            return NOTHING
        if found["op"] in ("=", "=="):
            equal.append((found["key"], found["value"]))
        tests.append(_test(found))
        position = found.end()
    return Selector(tuple(equal), tuple(tests))


def _test(found: re.Match[str]) -> Test:
    key = found["absent"] or found["key"]
    if found["absent"]:
        return lambda labels: key not in labels
    if found["op"] is None and found["set"] is None:
        return lambda labels: key in labels
    values = {v.strip() for v in found["values"].split(",")} if found["set"] else {found["value"]}
    if found["op"] == "!=" or found["set"] == "notin":
        return lambda labels: labels.get(key) not in values
    return lambda labels: labels.get(key) in values
