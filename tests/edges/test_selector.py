from __future__ import annotations

import pytest

from perfslo.edges.kube.selector import parse

LABELS = {"app": "web", "tier": "front", "app.kubernetes.io/name": "shop"}


@pytest.mark.parametrize(
    "text",
    [
        "app=web",
        "app==web",
        "app=web,tier=front",
        "app.kubernetes.io/name=shop",
        "tier in (front,back)",
        "tier in (front, back), app",
        "tier notin (back)",
        "region notin (eu)",
        "app!=db",
        "region!=eu",
        "!region",
        "app=web,tier in (front),!region",
    ],
)
def test_matches(text: str) -> None:
    assert parse(text).matches(LABELS)


@pytest.mark.parametrize(
    "text",
    ["app=db", "app=web,tier=back", "region", "!app", "tier in (back)", "tier notin (front)", "app!=web", "app="],
)
def test_does_not_match(text: str) -> None:
    assert not parse(text).matches(LABELS)


@pytest.mark.parametrize("text", ["", "app=web tier=front", "=web", "app=(web)", "tier in front"])
def test_what_says_nothing_matches_nothing(text: str) -> None:
    assert not parse(text).matches(LABELS)


def test_the_labels_that_an_index_can_be_asked_for() -> None:
    assert parse("app=web,tier in (a),x!=y").equal == (("app", "web"),)
