"""What the compiled code of a simulation reads and writes: records in arrays, each field with its unit in its name.

Rows of requests and of pods are used again when what was in them is gone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Records = npt.NDArray[np.void]
"""Whose fields compiled code reads as attributes."""

REQUEST = np.dtype(
    [
        ("arrived", np.float64),
        ("work", np.float64),
        ("call", np.float64),  # what the dependency has to do for it, in seconds; 0: nothing
        ("finish", np.float64),  # of its CPU time, by the pod's virtual clock
        ("pod", np.int64),  # -1: none, or one that was killed
        ("next", np.int64),  # in the pod's queue, or among the free ones
        ("failed", np.bool_),
    ],
    align=True,
)
POD = np.dtype(
    [
        ("in_flight", np.int64),
        ("busy", np.int64),  # workers
        ("first", np.int64),  # of the queue
        ("last", np.int64),
        ("factor", np.float64),  # of work
        ("warm_until", np.float64),
        ("leaving", np.bool_),
        ("gone", np.bool_),
        ("idle_since", np.float64),  # when its last request ended
        ("failed", np.int64),
        ("cpu_seconds", np.float64),
        # CFS
        ("running", np.int64),
        ("virtual", np.float64),  # CPU seconds that each one that ran all the time has had
        ("at", np.float64),  # when these were true
        ("quota", np.float64),  # left in the period, core-seconds
        ("period_end", np.float64),
        ("throttled", np.bool_),
        ("due", np.float64),  # when the next one ends
        ("periods", np.int64),
        ("throttled_periods", np.int64),
        # Prometheus
        ("scrapes", np.int64),
    ],
    align=True,
)
MINUTE = np.dtype([("requests", np.int64), ("bad", np.int64)], align=True)
STATE = np.dtype(
    [
        ("now", np.float64),
        ("next_arrival", np.float64),
        ("segment", np.int64),
        ("last_arrival", np.float64),  # none after this
        ("events", np.int64),
        ("free", np.int64),  # first request that is none
        ("ready", np.int64),
        ("turn", np.int64),
        # settings
        ("workers", np.int64),
        ("mu", np.float64),
        ("sigma", np.float64),
        ("exponential", np.bool_),
        ("call_mu", np.float64),
        ("call_sigma", np.float64),
        ("calls", np.bool_),
        ("hit_ratio", np.float64),
        ("failing_ratio", np.float64),
        ("static_ratio", np.float64),
        ("static_mu", np.float64),
        ("cpu_share", np.float64),
        ("quota", np.float64),  # core-seconds a period; 0: no limit that matters
        ("warm_up_factor", np.float64),
        ("timeout", np.float64),
        ("target", np.float64),
        ("balancing", np.int64),
        ("scrape_seconds", np.float64),
        ("scraping", np.bool_),
        # tallies
        ("arrived", np.int64),
        ("completed", np.int64),  # seen in the server's histogram
        ("given_up", np.int64),  # worked on, but too late for their clients
        ("dropped", np.int64),  # waited for longer than their clients
        ("refused", np.int64),  # no pod was ready
        ("lost", np.int64),  # with a pod that was killed
        ("in_flight", np.int64),  # in pods that are not leaving
        ("in_flight_at", np.float64),
        ("in_flight_seconds", np.float64),
    ],
    align=True,
)


class World(NamedTuple):
    """All that compiled code reads and writes."""

    state: Records
    load_times: npt.NDArray[np.float64]
    load_rps: npt.NDArray[np.float64]
    bounds: npt.NDArray[np.float64]
    event_times: npt.NDArray[np.float64]
    event_whats: npt.NDArray[np.int64]
    requests: Records
    pods: Records
    ready: npt.NDArray[np.int64]
    servers: npt.NDArray[np.float64]
    """When each of the dependency's becomes free, as a heap."""
    counts: npt.NDArray[np.int64]
    """By pod and bucket, not cumulative."""
    running: npt.NDArray[np.int64]
    """By pod: the requests that use CPU."""
    scraped_at: npt.NDArray[np.float64]
    """By pod, a ring: when; -inf: not yet."""
    scraped: npt.NDArray[np.float64]
    """By pod, the same ring: what. Its columns are named in `loop`."""
    minutes: Records
    latencies: npt.NDArray[np.int32]
    """By minute and step of latency."""
    in_flight_seconds: npt.NDArray[np.float64]
    """At the last seconds, a ring."""


class Chance(NamedTuple):
    """Streams of chance. (Apart from the arrays: with them, numba would look at the type of each anew at each call.)"""

    work: np.random.Generator
    """Of requests: when they come and what they cost."""
    choice: np.random.Generator
    """Of the balancer."""
