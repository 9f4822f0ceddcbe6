"""How each lever of an SLO stands, as its status says it."""

from __future__ import annotations

from perfslo.api.v1alpha1 import LeverState, LeverStatus
from perfslo.core import shares, text
from perfslo.core.apportion import shares_of
from perfslo.core.databases import Statistics
from perfslo.core.levers import advice, knobs
from perfslo.core.levers.database import NOT_MEASURED
from perfslo.core.model import ChangeResult, Missing, Target
from perfslo.core.steps import Balance
from perfslo.core.turn import Turn

POLICY = "/".join(knobs.POLICY)
MAX_TEXT, MAX_LONG_TEXT = 256, 1024
"""As the API's models have it: what a cluster or Prometheus says is cut to fit."""


def levers(turn: Turn) -> tuple[LeverStatus, ...]:
    """Each lever of the specification, and what it is about. The balancing policy has a mode of its own."""
    policy = (_policy(turn),) if knobs.policy(turn.spec) else ()
    return (*(_lever(turn, name) for name in turn.spec.enabled_levers), *policy)


def _lever(turn: Turn, name: str) -> LeverStatus:
    mode = turn.spec.lever_mode(name)
    if name not in turn.enabled_levers:
        return LeverStatus(name=name, mode=mode, state="Disabled")
    if name == "traffic":
        hindrance = shares.hindrance(turn)
        why = hindrance[1] if hindrance else turn.shift.why if turn.shift else ""
        return LeverStatus(
            name=name,
            mode=mode,
            state=_lever_state(turn, name),
            observed=shares.words(shares.asked(turn)),
            desired=shares.words(shares_of(turn.memory.traffic.aims)),
            message=text.clipped(why, MAX_LONG_TEXT) if why else None,
        )
    return LeverStatus(
        name=name,
        mode=mode,
        state=_lever_state(turn, name),
        observed=_observed(turn, name),
        desired=_desired(turn) if name == "replicas" else None,
        message=_lever_message(turn, name),
        recommendations=_recommendations(turn) if name == "database" else (),
    )


def _recommendations(turn: Turn) -> tuple[str, ...]:
    known = turn.observation.standing.statistics if turn.observation else NOT_MEASURED
    if isinstance(known, Missing):
        return ()
    promised_seconds = turn.spec.primary_latency.threshold_seconds
    return tuple(text.clipped(words, MAX_LONG_TEXT) for words in advice.recommendations(known, promised_seconds))


def _without_statistics(turn: Turn) -> str:
    """Why no statement is recommended to be looked at; empty when they are known, or nobody wants to know."""
    known = turn.observation.standing.statistics if turn.observation else NOT_MEASURED
    if isinstance(known, Statistics) and known.statements is None:
        known = advice.UNCOUNTED
    if isinstance(known, Statistics) or known == NOT_MEASURED:
        return ""
    return f"nothing is known of the database's statements: {known.message or known.reason}"


def _policy(turn: Turn) -> LeverStatus:
    now = knobs.stands(turn.observation.standing, knobs.POLICY) if turn.observation else None
    step = next((step for step in (turn.plan.steps if turn.plan else ()) if isinstance(step, Balance)), None)
    planned = text.clipped(turn.plan.why, MAX_LONG_TEXT) if turn.plan and step else None
    return LeverStatus(
        name=POLICY,
        mode=turn.spec.policy_mode,
        state=_policy_state(turn),
        observed=text.clipped(now, MAX_TEXT) if isinstance(now, str) and now else None,
        desired=step.wanted if step else None,
        message=planned or _lever_message(turn, knobs.POLICY[0]),
    )


def _policy_state(turn: Turn) -> LeverState:
    if knobs.POLICY[0] not in turn.enabled_levers:
        return "Disabled"
    if turn.spec.suspend:
        return "Suspended"
    if turn.spec.policy_mode == "Recommend":
        return "Recommending"
    if _moved(turn) == POLICY:
        return "Acting"
    pending = turn.memory.trials.pending
    return "Settling" if pending and pending.knob == knobs.POLICY else "Idle"


def _moved(turn: Turn) -> str:
    """Name of the lever that was just moved; empty when none was."""
    if turn.change is None or turn.change.result is not ChangeResult.APPLIED:
        return ""
    return POLICY if isinstance(turn.change.step, Balance) else turn.change.step.lever


def _observed(turn: Turn, name: str) -> str | None:
    """Replicas, or each of the lever's knobs with how it is set."""
    if name == "replicas":
        return str(turn.target.replicas.desired) if isinstance(turn.target, Target) else None
    if turn.observation is None:
        return None
    names = [
        knob
        for knob in (*knobs.keys(turn.spec), *knobs.workloads(turn.spec), *knobs.hooks(turn.spec))
        if knob[0] == name
    ]
    seen = [(subject, knobs.stands(turn.observation.standing, (name, subject))) for _, subject in names]
    told = [f"{subject}={now}" if subject else now for subject, now in seen if isinstance(now, str)]
    return text.clipped(",".join(told), MAX_TEXT) if told else None


def _lever_message(turn: Turn, name: str) -> str | None:
    """What was thought of pulling it."""
    said = [words for words in (turn.plan.alternatives if turn.plan else ()) if words.split(":")[0].split()[0] == name]
    if name == "database" and (why := _without_statistics(turn)):
        said.append(why)
    return text.clipped("; ".join(said), MAX_LONG_TEXT) if said and name != "replicas" else None


def _switch_state(turn: Turn, name: str) -> LeverState:
    pending = turn.memory.trials.pending
    if _moved(turn) == name:
        return "Acting"
    return "Settling" if pending and pending.lever == name else "Idle"


def _lever_state(turn: Turn, name: str) -> LeverState:
    moving_weights = name == "traffic"
    if turn.spec.suspend:
        return "Suspended"
    if moving_weights and not turn.parts:
        return "Disabled"
    if turn.spec.lever_mode(name) == "Recommend":
        return "Recommending"
    if name not in ("replicas", "traffic"):
        return _switch_state(turn, name)
    if turn.route_conflict if moving_weights else turn.conflict:
        return "Conflict"
    if _moved(turn) == name:
        return "Acting"
    if turn.shifting if moving_weights else turn.starting:
        return "Settling"
    if moving_weights:
        return "Limited" if shares.hindrance(turn) or (turn.shift and turn.shift.short) else "Idle"
    return "Limited" if turn.plan and turn.plan.limited_by else "Idle"


def _desired(turn: Turn) -> str | None:
    return str(turn.plan.final_replicas) if turn.plan and turn.plan.final_replicas is not None else None
