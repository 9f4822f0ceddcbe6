"""No oscillation: one of three backends becomes slower and recovers. (`python -m bench.traffic` plays twenty seeds.)"""

from __future__ import annotations

import pytest

from bench.traffic.play import SEEDS, play


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_weights_go_there_and_back_once(seed: int) -> None:
    came = play(seed, "Auto")
    assert came.turned <= 2
    assert came.violated <= 60.0, "of 140 seconds in which it is slow"
