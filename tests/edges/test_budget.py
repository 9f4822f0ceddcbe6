from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perfslo.edges.kube.budget import StatusBudget, Wish


def wishes(count: int, *, changed: int = 0) -> list[Wish]:
    """The first `changed` of them are changes of state; the higher the number, the staler."""
    return [Wish(f"ns/{n:05}", n < changed, written_at=float(count - n)) for n in range(count)]


def test_ten_slos_look_live() -> None:
    budget = StatusBudget(per_second=5, burst=5 * 15)
    for cycle in range(20):
        assert len(budget.grant(wishes(10), now=15.0 * cycle)) == 10


def test_changes_of_state_come_first_then_the_stalest() -> None:
    budget = StatusBudget(per_second=1, burst=4)
    assert budget.grant(wishes(10, changed=2), now=0.0) == ("ns/00001", "ns/00000", "ns/00009", "ns/00008")


def test_a_clock_that_went_back_mints_nothing() -> None:
    budget = StatusBudget(per_second=1, burst=2)
    assert len(budget.grant(wishes(5), now=100.0)) == 2
    assert budget.grant(wishes(5), now=10.0) == ()


def test_nobody_is_starved() -> None:
    budget = StatusBudget(per_second=1, burst=15)
    written = {wish.key: 0.0 for wish in wishes(100)}
    for cycle in range(1, 8):
        now = 15.0 * cycle
        for key in budget.grant([Wish(key, False, at) for key, at in written.items()], now):
            written[key] = now
    assert all(written.values())


@given(
    demands=st.lists(st.tuples(st.floats(0, 60), st.integers(0, 200)), max_size=30),
    per_second=st.floats(0.1, 50),
    burst=st.floats(1, 500),
)
def test_the_budget_is_never_exceeded(demands: list[tuple[float, int]], per_second: float, burst: float) -> None:
    budget, now, granted = StatusBudget(per_second, burst), 0.0, 0
    for passed, count in demands:
        now += passed
        granted += len(budget.grant(wishes(count), now))
        assert granted <= burst + per_second * now + 1e-6
