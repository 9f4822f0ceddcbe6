"""What is remembered of one SLO from cycle to cycle.

Slow facts (capacity, start-up time, decisions, the error budget, what was asked for and what came in the last hour)
survive a restart: `codec` carries them through the status. Fast ones (arrivals, what is settling) do, too, and are
believed after a short pause only; after a longer one they are rebuilt by observing, and until they are, nothing is
reduced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from perfslo.core.frozen import dataclass
from perfslo.core.model import Observation
from perfslo.core.trials import NO_TRIALS, Trials
from perfslo.core.weights import Traffic

MAX_HISTORY = 10
HOUR_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Bin:
    """Clean windows of about one load: decayed counts."""

    load: float
    """Requests a second per ready pod, averaged over the bin's requests."""
    requests: float
    slow: float


@dataclass(frozen=True, slots=True)
class Curve:
    """How the share of slow requests grows with load, for one promise on one version."""

    bins: tuple[Bin, ...] = ()
    worse: float = 0.0
    """Cumulative sum of surprise (windows): slower than predicted."""
    better: float = 0.0
    """The same the other way."""
    hint: float | None = None
    """Where the fit is thought to lie before evidence: the previous version's capacity, or that before a change."""
    best: float | None = None
    """The highest load per pod that was ever carried well: what a slow service may carry when it is well again."""
    low: float | None = None
    """Load per pod that keeps the promise with 80 % certainty; None before evidence."""
    median: float | None = None
    """Load per pod that keeps it with 50 % certainty."""
    steepness: float | None = None
    """How fast slow requests become more around it (see `capacity`), as likely as any."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one version of the workload can carry."""

    version: str
    ceiling: float | None = None
    """Completions a second per pod when saturated; None when it was never seen saturated."""
    ceiling_settled: bool = False
    """Whether it was measured over a whole window; before, it is a lower bound."""
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """By promise (see `capacity.promise_key`)."""


@dataclass(frozen=True, slots=True)
class Sample:
    time: float
    value: float


@dataclass(frozen=True, slots=True)
class Regret:
    """A reduction that had to be taken back."""

    time: float
    gap_seconds: float
    """For so long the load had been lower."""
    pods: int
    """That the load needed when it came back."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A forecast that has not come true yet, or not come at all."""

    time: float
    """That it is about."""
    level: float
    """Requests a second when it was made."""
    rise: float
    """What the trend was to add until then, in parts of `level`."""
    leading: bool = True
    """Whether it asked for more than those before it, so that pods were ordered by it."""


@dataclass(frozen=True, slots=True)
class Errors:
    """How far off forecasts were: decayed counts."""

    ratios: tuple[float, ...]
    """By what came over what was expected (see `forecast.RATIOS`)."""
    moved: float
    """Sum of what trends added, times what they were to add."""
    rise: float
    """Sum of the squares of what they were to add."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the law asked for, before limits, from `since` until `time`."""

    since: float
    time: float
    replicas: int


@dataclass(frozen=True, slots=True)
class ScaleEvent:
    time: float
    change: int
    demand: float = 0.0
    """Requests a second that it was sized for."""


@dataclass(frozen=True, slots=True)
class Order:
    """The newest change of replicas that was applied, with what is needed to judge it."""

    decision_id: str
    time: float
    current: int
    wanted: int
    demand: float
    """Requests a second it was sized for."""
    completions: float
    slow_ratio: float | None
    judged: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, explainable from this record alone. `id` is empty when nothing was to be done."""

    id: str
    time: float
    bottleneck: str
    current: int
    final: int
    proposed: int | None
    why: str
    limited_by: tuple[str, ...] = ()
    result: str = ""
    verdict: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BudgetSlice:
    """Requests of one hour or one day, for the error budget."""

    hour: int
    """Unix hours (time / 3600) of its beginning."""
    hours: int
    total: float = 0.0
    bad: float = 0.0
    covered_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Usual:
    """The mean of a number, and for how many seconds it was looked at."""

    value: float
    seconds: float


Span = tuple[int, int]
"""First and last of consecutive Unix hours."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of the requests that one promise is about."""

    slices: tuple[BudgetSlice, ...] = ()
    """Oldest first; they do not overlap."""
    asked: tuple[Span, ...] = ()
    """Hours that the source was asked about, oldest first: their counts are final."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Requests, and how many of them were bad: slow or failed."""

    total: float = 0.0
    bad: float = 0.0


@dataclass(frozen=True, slots=True)
class Slot:
    """The highest load of five minutes, in requests a second."""

    came: float
    before: float | None
    """The same on the days before, the lower one of two; None when one is not known."""


@dataclass(frozen=True, slots=True)
class Season:
    """The loads of a day (see `season`)."""

    days: str = ""
    """The highest load of each slot of the day, and those of the day before it, four hexadecimal digits each."""
    begin: int = 0
    """Of the slot under way: its number since 1970."""
    lately: tuple[Slot, ...] = ()
    """Consecutive slots of today, the one under way last."""
    whole: bool = False
    """Whether the one under way has been looked at since its begin."""
    announced: float | None = None
    """The jump that was expected in it, when it began."""
    error: float = 0.0
    """Of announcements, in sum, decayed: requests a second."""
    naive_error: float = 0.0
    """The same of expecting the load before them."""


@dataclass(frozen=True, slots=True)
class Memory:
    # slow facts
    capacities: tuple[Capacity, ...] = ()
    """Newest version first."""
    startup_seconds: float | None = None
    last_decision: Decision | None = None
    history: tuple[Decision, ...] = ()
    """Decisions that changed something (or would have), newest first."""
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)
    """Where the error budget goes, by what is promised (see `budget.key`)."""
    trials: Trials = NO_TRIALS
    """Interventions, and what they were found to bring."""
    usual: Mapping[str, Usual] = field(default_factory=dict)
    """By name: what signals say while the promise is kept."""
    backends: Mapping[str, Memory] = field(default_factory=dict)
    """By name, where each backend has a workload of its own: of these what they carry and how they start survives."""
    errors: Errors | None = None
    """Of forecasts; None before any came true."""
    highs: tuple[Sample, ...] = ()
    """The highest load of each slot of the last hour, oldest first; the time is a slot's begin."""
    season: Season = Season()
    recommendations: tuple[Recommendation, ...] = ()
    scale_events: tuple[ScaleEvent, ...] = ()
    regrets: tuple[Regret, ...] = ()
    lately: Counted = Counted()
    """Requests of the last hour or so, decayed, and how many slow ones were allowed, times what was used of that."""
    spend: float = 1.0
    """Times the planned part of the allowance: more when less was used than planned (see `sizing`)."""
    counts: Mapping[str, Counted] = field(default_factory=dict)
    """Requests that this process counted since it began, by what is promised."""
    # fast facts
    time: float | None = None
    """Of the newest observation."""
    desired: int | None = None
    """Replicas that were ordered when its turn was over."""
    known_since: float | None = None
    """Since when the load and latencies have been known without a break; None while they are not."""
    missing_cycles: int = 0
    """Consecutive cycles without this SLO's own series."""
    completions: float | None = None
    """Requests a second that finished just now; None before two cycles told."""
    arrivals: tuple[Sample, ...] = ()
    in_flight: tuple[Sample, ...] = ()
    expected: tuple[Expected, ...] = ()
    ready: int = 0
    readies: tuple[Sample, ...] = ()
    """How many were ready of late, of one version."""
    ready_since: float | None = None
    """Since when that many pods, of one version, have been ready."""
    clean_since: float | None = None
    """Since when nothing but load has moved latency: no new pod, no backlog, no unknown."""
    strained: bool = False
    """Whether so many requests are slow that at least some pods complete all they can."""
    saturated_since: float | None = None
    """Since when all of them have."""
    breached_since: float | None = None
    calm_since: float | None = None
    """Since when so few requests have been slow that something might be given back."""
    troubled_since: float | None = None
    """Since when a signal has said that something behind the service is not as usual."""
    slow_ratios: tuple[Sample, ...] = ()
    """The worst objective's share of slow requests over its allowance, as long as a window looks back."""
    easing: bool = False
    """Whether it is falling: what was done, or less load, is already taking effect."""
    order: Order | None = None
    fruitless: int = 0
    """Consecutive scale-outs that brought nothing."""
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def slow_ratio(self) -> float | None:
        """Share of slow requests over the allowance now; None without requests."""
        return self.slow_ratios[-1].value if self.slow_ratios else None


def workloads(memory: Memory, observation: Observation) -> list[tuple[Memory, Observation]]:
    """Each backend's workload, with what is remembered of it and what is seen; the SLO's own where it has one."""
    own = [(memory.backends[name], seen) for name, seen in observation.backends.items() if name in memory.backends]
    return own or [(memory, observation)]
