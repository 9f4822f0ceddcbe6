"""One leads, whatever happens to it: real processes, a real Lease, the API server's own record of who wrote."""

from __future__ import annotations

import os
import signal
import time

import pytest

from perfslo.settings import Lease
from tests.cluster.writes.hand import Contend, Hand, holder, read_for

pytestmark = pytest.mark.cluster


def test_a_frozen_leader_writes_nothing_when_it_wakes(hand: Hand, contend: Contend) -> None:
    old = contend("old")
    read_for(old, 1)
    new = contend("new")
    wrote = read_for(old, 4)
    os.kill(old.pid, signal.SIGSTOP)
    frozen = time.monotonic()
    assert read_for(new, 1) >= 0
    print(f"taken over {time.monotonic() - frozen:.1f} s after the leader froze")
    woken_at = time.time()
    os.kill(old.pid, signal.SIGCONT)
    said, complaint = old.communicate(timeout=30)
    print(f"the old leader ended {time.time() - woken_at:.1f} s after waking: {complaint.strip()}")
    assert (said, old.returncode) == ("", 7)
    assert hand.stage.status("old") == {"currentReplicas": wrote}
    read_for(new, 2)
    assert holder(hand.stage) == "new"
    writes = hand.stage.audit(woken_at, verbs=("patch", "create", "update"))
    assert [entry for entry in writes if entry["objectRef"].get("name") == "new"], "the audit log shows writes"
    assert not [entry for entry in writes if entry["objectRef"].get("name") == "old"]


def test_a_killed_leader_is_succeeded(hand: Hand, contend: Contend) -> None:
    old = contend("old")
    read_for(old, 1)
    new = contend("new")
    read_for(old, 4)
    old.kill()
    killed = time.monotonic()
    read_for(new, 1)
    print(f"taken over {time.monotonic() - killed:.1f} s after the leader was killed")
    assert holder(hand.stage) == "new"
    assert hand.stage.get("lease", "perfslo")["spec"]["leaseTransitions"] == 1


def test_a_clean_stop_lets_the_next_in_at_once(hand: Hand, contend: Contend) -> None:
    old = contend("old")
    read_for(old, 1)
    new = contend("new")
    read_for(old, 4)
    stopped = time.monotonic()
    old.terminate()
    read_for(new, 0.1)
    assert time.monotonic() - stopped < Lease().duration_seconds
    print(f"taken over {time.monotonic() - stopped:.1f} s after the leader was stopped")
