"""What is news in a status: decisions and verdicts always, measured numbers once they left the band."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfslo.core import text
from perfslo.core.model import JSON
from perfslo.core.notable import NOISE, differs


def summary(**fields: Any) -> JSON:
    return {"summary": fields}


@pytest.mark.parametrize(
    ("field", "written", "now", "news"),
    [
        ("p95", "312ms", "330ms", False),
        ("p95", "312ms", "360ms", True),
        ("p95", "990ms", "1.01s", False),
        ("p95", "9.9ms", "10ms", False),
        ("p95", "590s", "10m", False),
        ("p95", "10ms", "10s", True),
        ("requestsPerSecond", "0.1", "0.2", False),
        ("requestsPerSecond", "0.1", "0.4", True),
        ("requestsPerSecond", "52.3", "55.0", False),
        ("errors", "0.0%", "0.1%", False),
        ("errors", "0.0%", "1.2%", True),
        ("cpu", "71%", "76%", False),
        ("cpu", "71%", "80%", True),
        ("memory", "1020Mi", "1.0Gi", False),
        ("memory", "412Mi", "512Mi", True),
        ("network", "990kB/s", "1.0MB/s", False),
        ("disk", "0B/s", "85kB/s", True),
        ("replicas", "40/40", "40/41", True),
        ("desired", "40", "41", True),
        ("state", "Healthy", "Breaching", True),
        ("cost", "1.60", "1.64", True),
        ("observedTime", "2027-01-15T08:00:00Z", "2027-01-15T08:00:15Z", False),
    ],
)
def test_a_field_of_the_summary(field: str, written: str, now: str, news: bool) -> None:
    assert differs(summary(**{field: written}), summary(**{field: now})) is news
    assert differs(summary(**{field: now}), summary(**{field: written})) is news


def test_to_be_known_or_not_is_news() -> None:
    assert differs(summary(p95="312ms"), summary())
    assert differs(summary(), summary(p95="312ms"))
    assert differs({}, {"utilization": {"disk": "0B/s"}})


def test_a_sentence_with_other_numbers_is_the_same_sentence() -> None:
    def condition(message: str, **more: str) -> JSON:
        return {"conditions": [{"type": "SLOMet", "status": "True", "message": message, **more}]}

    known = condition("p95: 150ms, 1.2% of 1204 requests were slower than 200ms or failed, 5.0% may be")
    assert not differs(
        known, condition("p95: 158ms, 1.6% of 1187 requests were slower than 200ms or failed, 5.0% may be")
    )
    assert differs(known, condition("p95: 158ms, 4.1% of 1187 requests were slower than 200ms or failed, 5.0% may be"))
    assert differs(known, condition("p99: 150ms, 1.2% of 1204 requests were slower than 200ms or failed, 5.0% may be"))
    assert differs(condition("2 ready, 1 pending"), condition("2 ready, 2 pending")), "pods are counted, not measured"
    assert differs(condition("same", status="True"), condition("same", status="False"))


def test_a_promise() -> None:
    def promise(**fields: Any) -> JSON:
        return {"objectives": [{"name": "p95", "state": "Met", **fields}]}

    known = promise(current="190ms", badPercent="0.42", requests=1200, ageSeconds=4)
    assert not differs(known, promise(current="199ms", badPercent="0.67", requests=1150, ageSeconds=14))
    assert differs(known, promise(current="190ms", badPercent="3.1", requests=1200, ageSeconds=4))
    assert differs(known, promise(current="190ms", badPercent="0.42", requests=1200, ageSeconds=4, state="Missed"))
    assert differs(known, promise(current="190ms", badPercent="0.42", requests=1200, ageSeconds=4, target="300ms"))
    assert differs(known, {"objectives": [*known["objectives"], {"name": "p99", "state": "Met"}]})


def test_decisions_are_exact() -> None:
    assert differs({"lastDecision": {"why": "100 requests/s"}}, {"lastDecision": {"why": "101 requests/s"}})
    assert differs({"desiredReplicas": 100}, {"desiredReplicas": 101})


@given(st.floats(1e-3, 1e5), st.floats(-1.0, 1.0), st.sampled_from(["seconds", "rate", "size", "speed", "percent"]))
def test_a_band_holds_for_any_number_and_unit(value: float, off: float, unit: str) -> None:
    """Half of the noise is never news; twice the noise is, of a number that is large beside its last digit."""
    words = getattr(text, unit)
    amount = {"percent": 0.1 + value / 1e5, "size": value * 2**20}.get(unit, value)
    assert not differs(summary(p95=words(amount)), summary(p95=words(amount * (1 + off * NOISE / 2))))
    if value > 100 and unit in ("rate", "size", "speed"):
        assert differs(summary(p95=words(amount)), summary(p95=words(amount * (1 + 2 * NOISE))))


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_compared(one: str, other: str) -> None:
    assert not differs({"message": one}, {"message": one})
    assert differs({"state": one}, {"state": other}) is (one != other)
    assert differs({"message": one}, {"message": other}) == differs({"message": other}, {"message": one})
