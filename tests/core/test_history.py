"""One batch a source: the newest hour, of SLOs that ask the same things, small enough to be borne."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perfslo.core import history
from perfslo.core.history import MOST_NAMESPACE_CHARACTERS, MOST_SLOS, Batch
from perfslo.core.measure import Wanted
from perfslo.core.promql import MAX_CHUNKS, MAX_QUERY_CHARACTERS, Query, texts
from tests.core.turns import spec


def wanted(name: str, namespace: str = "shop", source: str = "default", **metrics: Any) -> Wanted:
    its = spec(metrics=metrics)
    return Wanted(f"{namespace}/{name}", namespace, frozenset({name}), source, "http-server", its)


def only(*unasked: tuple[Wanted, int], **options: Any) -> Batch:
    (batch,) = history.batches(unasked, **options)
    return batch


def names(batch: Batch) -> list[str]:
    return [one.key for one in batch.wanted]


def test_the_newest_hour_comes_first_and_those_that_miss_it_together() -> None:
    batch = only((wanted("a"), 7), (wanted("b"), 9), (wanted("c"), 9), (wanted("d"), 8))
    assert (batch.hour, names(batch)) == (9, ["shop/b", "shop/c"])


def test_nothing_to_ask_is_no_batch() -> None:
    assert [*history.batches([])] == []


def test_each_source_has_its_own_turn() -> None:
    batches = [*history.batches([(wanted("a"), 9), (wanted("b", source="eu"), 3)])]
    assert {batch.wanted[0].source: batch.hour for batch in batches} == {"default": 9, "eu": 3}


def test_slos_that_ask_other_things_wait_for_their_turn() -> None:
    matcher = {"label": "http_route", "op": "=", "value": "/cart"}
    ours, theirs = wanted("a"), wanted("b", matchers=[matcher])
    batch = only((ours, 9), (theirs, 9), (wanted("c"), 9))
    assert names(batch) == ["shop/a", "shop/c"]
    assert names(only((ours, 9), (theirs, 9), resting={batch.kind})) == ["shop/b"]


def test_a_batch_is_no_larger_than_a_server_bears() -> None:
    many = [(wanted(f"{i:04}"), 9) for i in range(MOST_SLOS + 50)]
    batch = only(*many)
    assert len(batch.wanted) == MOST_SLOS
    assert len(only(*many, sizes={batch.kind: 3}).wanted) == 3


def test_a_batch_names_its_namespaces() -> None:
    many = [(wanted("web", f"{i:04}-{'x' * 58}"), 9) for i in range(400)]
    batch = only(*many)
    assert 100 < len(batch.wanted) < 200
    assert sum(len(one.namespace) for one in batch.wanted) <= MOST_NAMESPACE_CHARACTERS
    sent = texts(Query("c_bucket"), {one.namespace for one in batch.wanted})
    assert len(sent) <= MAX_CHUNKS
    assert max(map(len, sent)) <= MAX_QUERY_CHARACTERS
    assert all(batch.wanted[0].namespace in sent[0] for _ in sent)


def test_many_slos_of_one_namespace_are_one_batch() -> None:
    crowded = [(wanted(f"{i:04}", "x" * 63), 9) for i in range(300)]
    assert len(only(*crowded).wanted) == 300


def test_every_slo_gets_its_turn() -> None:
    unasked = {f"{i}": (wanted(f"{i}"), 100 - i % 3) for i in range(30)}
    for _ in range(12):
        for batch in history.batches(unasked.values(), sizes={history._kind(wanted("0")): 3}):
            for one in batch.wanted:
                unasked[one.key.removeprefix("shop/")] = (replace(one), batch.hour - 10)
    assert {hour for _, hour in unasked.values()} == {90, 89, 88}
