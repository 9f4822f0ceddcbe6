from __future__ import annotations

from dataclasses import dataclass

from perfslo.api.v1alpha1 import ClaimTarget, LeverClaimSpec
from perfslo.edges.claims import Pull, claimed, is_ours, precedence


@dataclass(frozen=True)
class Slo:
    name: str = "a"
    uid: str = "uid-a"
    namespace: str = "shop"
    created: str = "2026-01-01T00:00:00Z"


def pull(found: str, wanted: str, *, holder: Slo | None = None, target_uid: str = "target-1") -> Pull:
    target = ClaimTarget(group="apps", kind="Deployment", name="web", uid=target_uid)
    return Pull(holder or Slo(), target, "replicas", found, wanted, f"d-{found}-{wanted}", 1.8e9, "Restore")


def chain(*pulls: Pull) -> LeverClaimSpec:
    spec = None
    for each in pulls:
        spec = claimed(spec, each)
    assert spec
    return spec


def test_the_original_is_what_was_found_first() -> None:
    spec = chain(pull("2", "5"), pull("5", "9"), pull("9", "7"))
    assert (spec.original_value, spec.last_value, spec.decision_id) == ("2", "7", "d-9-7")
    assert spec.last_write_time == "2027-01-15T08:00:00Z"


def test_the_original_survives_a_change_of_holder() -> None:
    heir = Slo(name="b", uid="uid-b")
    spec = chain(pull("2", "5"), pull("5", "6", holder=heir))
    assert (spec.original_value, spec.holder.name, spec.holder.uid) == ("2", "b", "uid-b")


def test_a_write_that_never_arrived_leaves_the_original_and_the_value_ours() -> None:
    spec = chain(pull("2", "5"), pull("5", "9"))
    assert is_ours(spec, "target-1", "5"), "the crash came before the lever was written"
    assert is_ours(spec, "target-1", "9")
    assert claimed(spec, pull("5", "8")).original_value == "2"


def test_what_somebody_else_wrote_is_theirs_and_becomes_the_original() -> None:
    spec = chain(pull("2", "5"))
    assert not is_ours(spec, "target-1", "4")
    assert claimed(spec, pull("4", "6")).original_value == "4"


def test_a_first_claim_from_a_stale_reading_is_corrected() -> None:
    refused = chain(pull("2", "5"))
    assert claimed(refused, pull("3", "5")).original_value == "3"


def test_an_object_of_the_same_name_is_not_the_same_object() -> None:
    spec = chain(pull("2", "5"))
    assert not is_ours(spec, "target-2", "5")
    assert claimed(spec, pull("5", "6", target_uid="target-2")).original_value == "5"


def test_the_name_of_a_claim_depends_on_the_lever_alone() -> None:
    assert pull("1", "2").claim_name == pull("5", "7", holder=Slo(uid="other"), target_uid="target-2").claim_name


def test_the_older_slo_has_precedence_and_the_uid_decides_a_tie() -> None:
    old, young = Slo(uid="z"), Slo(uid="a", created="2026-01-01T00:00:01Z")
    assert precedence(old) < precedence(young)
    assert precedence(Slo(uid="a")) < precedence(Slo(uid="b"))
