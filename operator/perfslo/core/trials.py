"""What is remembered of interventions: the one in flight, what is held by them, and what each was found to bring."""

from __future__ import annotations

from perfslo.core.frozen import dataclass

MAX_EFFECTS = 16


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests, each window counted once, and how many of them were bad: slow or failed.

    At another load as many requests are worth more or fewer at the load before. By how much is a guess: of it, one that
    makes a lever look good is not taken, nor one that makes it look bad.
    """

    requests: float = 0.0
    bad: float = 0.0
    least: float = 0.0
    """What the requests are worth at the load before, at most as many as they are."""
    most: float = 0.0
    """The same, at least as many as they are."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """An intervention in flight, with all that it takes to judge it and to put it back."""

    decision_id: str
    time: float
    lever: str
    subject: str
    found: str
    wanted: str
    bottleneck: str
    """The verdict that it was to cure."""
    objective: str
    """Name of the latency objective that it is judged by."""
    load: float
    """Requests a second per ready pod, before."""
    before: Tally
    replicas: int
    """That were ordered when it began."""
    predicted: float = 0.0
    """Part of the slow requests that it should take away at equal load, 0..1; 0 of a release."""
    settle_seconds: float = 0.0
    """Until its effect can be seen, from when it is followed."""
    releases: bool = False
    """Whether it gives a lever back that is thought to be needed no more."""
    followed_since: float | None = None
    """Since when the pods follow; None while they do not, as far as is known."""
    queued_at: float | None = None
    """When requests that had queued before it were seen last; None once the window holds none of them."""
    waiting: float | None = None
    """Requests in flight when it began, where they were a queue that stood still; with fewer, that queue drains."""
    early: Tally = Tally()
    """Before it had settled."""
    after: Tally = Tally()
    outcome: str = ""
    """Once judged: then it is being put back."""

    @property
    def knob(self) -> tuple[str, str]:
        return self.lever, self.subject


@dataclass(frozen=True, slots=True)
class Held:
    """A lever that was pulled and not given back yet."""

    lever: str
    subject: str
    found: str
    since: float
    cold: float | None = None
    """Requests a second that a pod carried without it; None when that was not learnt."""
    missed: int = 0
    """How often it was given back and had to be pulled again."""

    @property
    def knob(self) -> tuple[str, str]:
        return self.lever, self.subject


@dataclass(frozen=True, slots=True)
class Effect:
    """What pulling a lever brought against one kind of bottleneck."""

    lever: str
    subject: str
    bottleneck: str
    time: float
    relief: float
    """Mean logarithm of slow requests before over after, at equal load."""
    weight: float
    """How many trials that is worth by now."""
    fruitless: int = 0
    """Trials in a row without effect."""
    barred_until: float = 0.0
    why: str = ""
    """Of the bar."""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.lever, self.subject, self.bottleneck


@dataclass(frozen=True, slots=True)
class Trials:
    """All of it."""

    pending: Experiment | None = None
    """At most one for a workload."""
    held: tuple[Held, ...] = ()
    effects: tuple[Effect, ...] = ()
    """Newest first."""
    idle_since: float | None = None
    """Since when background workers have had next to nothing to do."""
    workers_moved: float | None = None
    """When they were scaled last."""

    def holding(self, knob: tuple[str, str]) -> Held | None:
        return next((one for one in self.held if one.knob == knob), None)

    def effect(self, knob: tuple[str, str], bottleneck: str) -> Effect | None:
        return next((one for one in self.effects if one.key == (*knob, bottleneck)), None)

    def barred(self, knob: tuple[str, str], bottleneck: str, now: float) -> str:
        """Why a lever must not be pulled against a bottleneck for now; empty when it may."""
        known = self.effect(knob, bottleneck)
        return known.why if known and now < known.barred_until else ""


NO_TRIALS = Trials()
