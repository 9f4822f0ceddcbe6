"""What all kinds of routes have in common: rules with weighted backends, the choice of a rule, the guarded patch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from perfslo.core.apportion import apportion
from perfslo.core.model import JSON, OtherWriter

REST = ""
"""Name of the backend that gets what the others leave, where the object itself does not say which that is."""
COARSEST_TOTAL = 20
"""Steps of 5 %: with less, one step is a jolt."""

Guard = tuple[str, str]
"""A JSON pointer, and the JSON that must be found there."""


@dataclass(frozen=True, slots=True)
class Backend:
    name: str
    """As an SLO names it; nothing that it can name when it is not a Service of the route's own namespace."""
    weight: int
    path: str = ""
    """JSON pointer to its weight; "" when that follows from the others'."""
    explicit: bool = True
    """Whether the weight is written in the object."""
    guards: tuple[Guard, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """Backends that share the same requests."""

    backends: tuple[Backend, ...]
    name: str = ""
    guards: tuple[Guard, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteObject:
    """A route as far as weights go. `problem` says why it has no weights to write, and what to do."""

    uid: str
    resource_version: str
    rules: tuple[Rule, ...] = ()
    problem: str = ""
    followed: bool | None = None
    note: str = ""
    other_writers: tuple[OtherWriter, ...] = ()
    serves: frozenset[tuple[str, str, str]] = frozenset()
    """Of an Ingress: host, path and Service of each of its paths."""
    is_canary: bool = False
    """Of an Ingress: it has a share of what another one serves."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a kind writes weights."""

    project: Callable[[JSON], RouteObject]
    total: int
    """What the weights of a whole rule add up to once written, if it was less: 1000 gives steps of 0.1 %."""
    fixed_total: bool = False
    """No other sum is safe, be it more."""
    as_text: bool = False


def guard(path: str, value: object) -> Guard:
    return path, json.dumps(value, separators=(",", ":"), sort_keys=True)


def service(path: str, reference: JSON, namespace: str) -> Backend:
    """A reference with a name and a weight, 1 when it is not written; to a Service, if it does not say otherwise."""
    name = reference["name"]
    if reference.get("group", "") or reference.get("kind", "Service") != "Service":
        name = f"{reference['kind']}/{name}"
    elif reference.get("namespace", namespace) != namespace:
        name = f"{reference['namespace']}/{name}"
    return Backend(
        name=name,
        weight=reference.get("weight", 1),
        path=f"{path}/weight",
        explicit="weight" in reference,
        guards=(guard(f"{path}/name", reference["name"]),),
    )


def choose(route: RouteObject, rule_name: str, wanted: Collection[str]) -> Rule | str:
    """The rule of that name (when "": the only one) that shares requests among these backends; else what to do."""
    if route.problem:
        return route.problem
    rules = [_with_rest(rule, wanted) for rule in route.rules]
    if rule_name:
        rules = [rule for rule in rules if rule.name == rule_name]
        if not rules:
            names = ", ".join(sorted({rule.name for rule in route.rules} - {""})) or "none has a name"
            return f"has no rule {rule_name}: correct routeRef.ruleName (its rules: {names})"
    if any(REST in {backend.name for backend in rule.backends} for rule in rules):
        return _absent(rules, wanted) + ", and name two backends: its own Service and that of the main Ingress"
    matching = [rule for rule in rules if set(wanted) <= {backend.name for backend in rule.backends}]
    if not matching:
        return _absent(rules, wanted)
    if len(matching) > 1:
        return (
            f"has {len(matching)} rules with these backends: "
            "give one a name of its own and write it as routeRef.ruleName"
        )
    counts = Counter(backend.name for backend in matching[0].backends)
    if twice := sorted(name for name in wanted if counts[name] > 1):
        return f"names {twice[0]} twice in one rule: write it once there, with the sum of the weights"
    return matching[0]


def weights(rule: Rule, wanted: Collection[str]) -> dict[str, int]:
    """Of these backends, in their order."""
    found = {backend.name: backend.weight for backend in rule.backends}
    return {name: found[name] for name in wanted}


def scaled(dialect: Dialect, rule: Rule, wanted: Collection[str]) -> dict[str, int] | str:
    """The weights of these backends as they would be written for the same shares; or what to do when they cannot be."""
    whole = total(dialect, rule, wanted)
    return whole if isinstance(whole, str) else apportion(weights(rule, wanted), whole)


def total(dialect: Dialect, rule: Rule, wanted: Collection[str]) -> int | str:
    """What the weights of these backends must add up to when they are written; or what to do when they cannot be."""
    ours = sum(weights(rule, wanted).values())
    others = sum(backend.weight for backend in rule.backends) - ours
    if not ours:
        return "gives these backends no requests at all: give one of them a weight first"
    if not others:
        return dialect.total if dialect.fixed_total else max(ours, dialect.total)
    if ours >= COARSEST_TOTAL:
        return ours
    factor = -(-100 // ours)
    return (
        f"shares only {ours} parts of {ours + others} among these backends: "
        f"multiply all weights of the rule by {factor}"
    )


def patch(dialect: Dialect, route: RouteObject, rule: Rule, wanted: Mapping[str, int]) -> list[JSON]:
    """The JSON Patch that writes these weights and nothing else; empty when they are all there already.

    It is refused by the API server if the object, the rule or a backend is not what was read.
    """
    changed = [
        backend
        for backend in rule.backends
        if backend.path and backend.name in wanted and not (backend.explicit and backend.weight == wanted[backend.name])
    ]
    if all(backend.weight == wanted[backend.name] for backend in changed):
        return []
    found = [
        guard("/metadata/uid", route.uid),
        guard("/metadata/resourceVersion", route.resource_version),
        *rule.guards,
        *(pin for backend in changed for pin in backend.guards),
    ]
    return [
        *({"op": "test", "path": path, "value": json.loads(value)} for path, value in found),
        *(
            {
                "op": "add",
                "path": backend.path,
                "value": str(wanted[backend.name]) if dialect.as_text else wanted[backend.name],
            }
            for backend in changed
        ),
    ]


def _with_rest(rule: Rule, wanted: Collection[str]) -> Rule:
    """The backend that gets the rest is the one that was asked for and is not named."""
    named = {backend.name for backend in rule.backends}
    unnamed = [name for name in wanted if name not in named]
    if REST not in named or len(unnamed) != 1:
        return rule
    backends = (replace(backend, name=backend.name or unnamed[0]) for backend in rule.backends)
    return replace(rule, backends=tuple(backends))


def _absent(rules: list[Rule], wanted: Collection[str]) -> str:
    names = sorted({backend.name for rule in rules for backend in rule.backends} - {REST})
    absent = [name for name in wanted if name not in names]
    if not absent:
        return f"has no rule with all of {', '.join(wanted)}: only backends of one rule share its requests"
    return (
        f"has no backend {' and no '.join(absent)} (it has {', '.join(names) or 'none'}): add it there with a weight, "
        "or correct the names under levers.traffic.backends"
    )
