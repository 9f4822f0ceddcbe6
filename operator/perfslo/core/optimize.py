"""Diagnosis -> Plan: the arbiter over the levers. With one lever, it asks that one."""

from __future__ import annotations

from perfslo.api.v1alpha1 import PerformanceSLOSpec
from perfslo.core.levers import replicas
from perfslo.core.memory import Memory
from perfslo.core.model import Diagnosis, Observation, Plan, Step


def plan(spec: PerformanceSLOSpec, memory: Memory, observation: Observation, diagnosis: Diagnosis) -> Plan:
    """What should be done, before any limit. `guardrails.guard` has the last word."""
    proposal = replicas.propose(spec, memory, observation, diagnosis)
    desired = observation.replicas.desired
    final = desired if proposal.replicas is None else proposal.replicas
    return Plan(
        why=proposal.reason,
        steps=steps(desired, final),
        proposed_replicas=proposal.replicas,
        final_replicas=final,
        numbers=proposal.numbers,
    )


def steps(current: int, wanted: int) -> tuple[Step, ...]:
    return (Step(replicas.LEVER, current, wanted),) if wanted != current else ()
