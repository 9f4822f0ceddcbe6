"""Events and lists in orders that a real API server cannot be made to produce; the usual ones run on a cluster."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from perfslo.core.model import JSON
from perfslo.edges.kube.client import METADATA_LIST, WHOLE
from perfslo.edges.watch import Registry
from perfslo.errors import ApiUnavailable
from perfslo.settings import Settings


class Lists:
    """Answers lists, one after another."""

    def __init__(self, *pages: JSON | Exception) -> None:
        self.pages = list(pages)
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.accepted: list[str] = []

    async def request(self, method: str, path: str, *, query: Mapping[str, str], accept: str) -> JSON:
        self.asked.append((path, query))
        self.accepted.append(accept)
        page = self.pages.pop(0)
        if isinstance(page, Exception):
            raise page
        return page


def page(version: int, *items: JSON, token: str = "") -> JSON:
    return {"metadata": {"resourceVersion": str(version), "continue": token}, "items": list(items)}


def slo(
    name: str = "web",
    *,
    uid: str = "",
    version: int = 1,
    generation: int = 1,
    maximum: int = 5,
    status: JSON | None = None,
) -> JSON:
    return {
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
            "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "maxReplicas": maximum,
            "objectives": [{"name": "p95", "latency": {"percentile": 95, "threshold": "200ms"}}],
        },
        "status": status or {},
    }


def registry(*pages: JSON | Exception, namespaces: tuple[str, ...] = ()) -> tuple[Registry, Lists]:
    lists = Lists(*pages)
    return Registry(lists, Settings(watch_namespaces=namespaces)), lists  # type: ignore[arg-type]


def versions(registry: Registry) -> dict[str, int]:
    return {key: slo.resource_version for key, slo in registry.snapshot().items()}


async def test_a_list_brings_what_is_there_page_by_page() -> None:
    them, lists = registry(page(9, slo("a"), token="more"), page(9, slo("b")))
    assert not them.synced.is_set()
    await them.resync()
    assert them.synced.is_set()
    assert versions(them) == {"shop/a": 1, "shop/b": 1}
    assert [query for _, query in lists.asked] == [{"limit": "500"}, {"limit": "500", "continue": "more"}]


async def test_each_watched_namespace_is_listed() -> None:
    them, lists = registry(page(9, slo("a")), page(9), namespaces=("shop", "office"))
    await them.resync()
    assert [path for path, _ in lists.asked] == [
        f"/apis/perfslo.io/v1alpha1/namespaces/{namespace}/performanceslos" for namespace in ("shop", "office")
    ]
    assert versions(them) == {"shop/a": 1}


async def test_what_a_list_does_not_show_any_more_is_gone() -> None:
    them, _ = registry(page(9, slo("a"), slo("ghost")), page(20, slo("a")))
    await them.resync()
    await them.resync()
    assert versions(them) == {"shop/a": 1}
    assert them.by_uid("uid-ghost") is None


async def test_metadata_are_enough_while_events_tell_all() -> None:
    them, lists = registry(page(9, slo("a", version=3)), page(20, slo("a", version=15)))
    await them.resync()
    await them.resync()
    assert versions(them) == {"shop/a": 3}
    assert lists.accepted == [WHOLE, METADATA_LIST]


@pytest.mark.parametrize("missed", [slo("b", version=15), slo("a", version=15, generation=2)])
async def test_what_no_event_told_of_is_read(missed: JSON) -> None:
    them, lists = registry(page(9, slo("a")), page(20, missed), page(21, slo("a", version=16), slo("b", version=15)))
    await them.resync()
    await them.resync()
    assert versions(them) == {"shop/a": 16, "shop/b": 15}
    assert lists.accepted == [WHOLE, METADATA_LIST, WHOLE]


async def test_a_list_older_than_an_event_drops_nothing() -> None:
    them, _ = registry(page(9))
    them.saw("ADDED", slo("new", version=12))
    await them.resync()
    assert versions(them) == {"shop/new": 12}


async def test_a_list_that_fails_drops_nothing() -> None:
    them, _ = registry(page(9, slo("a")), page(20, token="more"), ApiUnavailable("gone fishing"))
    await them.resync()
    with pytest.raises(ApiUnavailable):
        await them.resync()
    assert versions(them) == {"shop/a": 1}


def test_a_version_that_was_taken_in_is_known() -> None:
    them, _ = registry()
    assert not them.knows(slo(version=7))
    them.saw("ADDED", slo(version=7))
    assert them.knows(slo(version=7))
    assert not them.knows(slo(version=8))
    assert not them.knows(slo(version=7, uid="another"))


def test_an_older_event_changes_nothing() -> None:
    them, _ = registry()
    them.saw("ADDED", slo(version=7))
    them.saw(None, slo(version=5, maximum=9))
    assert versions(them) == {"shop/web": 7}


async def test_the_dead_do_not_come_back_with_an_old_list() -> None:
    them, _ = registry(page(9, slo(version=5)), page(30))
    them.saw("ADDED", slo(version=5))
    them.saw("DELETED", slo(version=12))
    await them.resync()
    assert versions(them) == {}
    await them.resync()
    them.saw("ADDED", slo(version=40, uid="another"))
    assert versions(them) == {"shop/web": 40}


def test_a_replaced_object_is_another_one() -> None:
    them, _ = registry()
    them.saw("ADDED", slo(version=5, uid="first"))
    them.saw("ADDED", slo(version=9, uid="second"))
    them.saw("DELETED", slo(version=8, uid="first"))  # told late
    replaced = them.by_uid("second")
    assert replaced
    assert (replaced.key, replaced.uid) == ("shop/web", "second")
    assert them.by_uid("first") is None
    assert versions(them) == {"shop/web": 9}


def test_a_status_of_the_same_generation_leaves_the_spec_as_it_is() -> None:
    them, _ = registry()
    them.saw("ADDED", slo(version=1))
    before = them.snapshot()["shop/web"]
    them.saw("MODIFIED", slo(version=2, status={"currentReplicas": 4}))
    after = them.snapshot()["shop/web"]
    assert after.spec is before.spec
    assert after.status == {"currentReplicas": 4}
    them.saw("MODIFIED", slo(version=3, generation=2, maximum=9))
    changed = them.snapshot()["shop/web"].spec
    assert changed
    assert changed.max_replicas == 9
    assert before.status == {}  # a snapshot does not move


def test_a_spec_that_does_not_fit_is_kept_with_the_reason() -> None:
    them, _ = registry()
    wrong = slo()
    del wrong["spec"]["maxReplicas"]
    them.saw("ADDED", wrong)
    bad = them.snapshot()["shop/web"]
    assert bad.spec is None
    assert "spec.maxReplicas" in bad.problem


def test_equal_promises_are_kept_once() -> None:
    them, _ = registry()
    them.saw("ADDED", slo("a"))
    them.saw("ADDED", slo("b"))
    one, other = (slo.spec for slo in them.snapshot().values())
    assert one
    assert other
    assert one.objectives is other.objectives
    assert one.scale_target_ref != other.scale_target_ref
