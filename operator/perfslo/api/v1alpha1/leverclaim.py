"""LeverClaim: who holds a lever, and what to put back."""

from hashlib import sha256
from typing import Annotated, Literal

from pydantic import Field

from perfslo.api.v1alpha1.common import Group, Kind, ObjectMeta, ObjectName, SpecModel, Timestamp

ClaimedValue = Annotated[str, Field(max_length=2048)]
Uid = Annotated[str, Field(min_length=1, max_length=64)]


class ClaimTarget(SpecModel):
    """The object whose field is claimed."""

    group: Group
    """API group; empty for the core group."""
    kind: Kind
    """Kind."""
    name: ObjectName
    """Name."""
    uid: Uid
    """UID first seen; an object that only shares the name is not this one."""


class ClaimHolder(SpecModel):
    """The PerformanceSLO that holds the lever."""

    name: ObjectName
    """Name of the PerformanceSLO in the same namespace."""
    uid: Uid
    """UID of the PerformanceSLO."""


class LeverClaimSpec(SpecModel):
    """Written before the lever is: the record from which a change is undone."""

    target_ref: ClaimTarget
    """Object whose field is claimed."""
    field: Annotated[str, Field(min_length=1, max_length=253)]
    """Field that is claimed, such as replicas."""
    holder: ClaimHolder
    """Who holds it."""
    original_value: ClaimedValue
    """Value that somebody else wanted last, put back by Restore."""
    last_value: ClaimedValue | None = None
    """Value written last; the field is put back only while it is still ours."""
    previous_value: ClaimedValue | None = None
    """Value written before that: still ours if the last write never arrived."""
    last_write_time: Timestamp | None = None
    """When it was written last."""
    decision_id: Annotated[str | None, Field(alias="decisionID", max_length=64)] = None
    """Decision that the last value belongs to."""
    on_delete: Literal["Keep", "Restore"]
    """What happens to the field when the holder is deleted."""


class LeverClaim(SpecModel):
    """Who holds a lever of a workload, and what to put back. Written by the operator; not for editing."""

    api_version: Literal["perfslo.io/v1alpha1"] = "perfslo.io/v1alpha1"
    kind: Literal["LeverClaim"] = "LeverClaim"
    metadata: ObjectMeta
    spec: LeverClaimSpec
    """Who holds the lever, and what to put back."""


def claim_name(group: str, kind: str, name: str, field: str) -> str:
    """Name of the claim of a field: the same for every SLO, so that only one can hold it."""
    return f"claim-{sha256('/'.join((group, kind, name, field)).encode()).hexdigest()[:32]}"
