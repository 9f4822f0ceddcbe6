"""What is tried out: named scenarios, each with something that autoscalers get wrong.

All begin with 10 minutes that are not judged, and are sized by `replicas`: about so many pods carry the mean load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from perfslo.errors import ConfigurationError
from perfslo.simulate import services, shapes, traces
from perfslo.simulate.model import Balancing, Dependency, Load, Scenario, Service, Shift

MINUTE = 60.0
SETTLE_SECONDS = 10 * MINUTE
DURATION_SECONDS = 70 * MINUTE
REPLICAS = 20.0
CAPACITY_RPS = 36.0
"""Of a pod of the default service with random balancing, by Erlang's formula for 250 ms."""
ROOM = 12.0
"""`max_replicas` over `replicas`: bounds are there to be wrong, not to decide."""

Build = Callable[[float, int], Scenario]


def names() -> tuple[str, ...]:
    return tuple(_SCENARIOS)


def describe(name: str) -> str:
    """One line about a scenario."""
    return (_SCENARIOS[name].__doc__ or "").partition("\n")[0]


def build(name: str, *, seed: int = 0, replicas: float = REPLICAS, balancing: Balancing = Balancing.RANDOM) -> Scenario:
    """The scenario of that name. `seed` is for shapes that have chance in them.

    Raises ConfigurationError for a name that is not one.
    """
    if name not in _SCENARIOS:
        raise ConfigurationError(f"there is no scenario {name!r}: write all, or one of {', '.join(_SCENARIOS)}")
    scenario = _SCENARIOS[name](replicas, seed)
    return replace(scenario, name=name, balancing=balancing, judged_from_seconds=SETTLE_SECONDS)


def of_trace(name: str, load: Load, *, replicas: float = REPLICAS, balancing: Balancing = Balancing.RANDOM) -> Scenario:
    """A recorded load on the default service, multiplied so that about `replicas` pods carry its mean."""
    scaled = traces.averaging(load, replicas * CAPACITY_RPS)
    settle = min(SETTLE_SECONDS, load.duration_seconds / 6)
    most = round(ROOM * replicas)
    return Scenario(name, scaled, balancing=balancing, max_replicas=most, judged_from_seconds=settle)


def _plain(
    shape: Load, replicas: float, service: Service | None = None, capacity_rps: float = CAPACITY_RPS
) -> Scenario:
    load = traces.averaging(shape, replicas * capacity_rps)
    return Scenario("", load, service or Service(), max_replicas=round(ROOM * replicas))


def _diurnal(replicas: float, seed: int) -> Scenario:
    """A day and its night within an hour."""
    return _plain(shapes.diurnal(DURATION_SECONDS, seed), replicas)


def _noisy(replicas: float, seed: int) -> Scenario:
    """No trend, but rates that wander by 20 % within half a minute."""
    return _plain(shapes.noisy(DURATION_SECONDS, seed), replicas)


def _bursty(replicas: float, seed: int) -> Scenario:
    """Bursts of up to three times the quiet level, every few minutes."""
    return _plain(shapes.bursty(DURATION_SECONDS, seed), replicas)


def _flash_crowd(replicas: float, _: int) -> Scenario:
    """Five times the load within 30 seconds, for 10 minutes; then it fades."""
    return _plain(shapes.flash_crowd(DURATION_SECONDS, 25 * MINUTE, 1.0, 5.0, 30.0), replicas)


def _step(replicas: float, _: int) -> Scenario:
    """Three times the load at once, for half an hour."""
    return _plain(shapes.step(DURATION_SECONDS, 20 * MINUTE, 50 * MINUTE, 1.0, 3.0), replicas)


def _ramp(replicas: float, _: int) -> Scenario:
    """Evenly up to four times the load, over 35 minutes."""
    return _plain(shapes.ramp(DURATION_SECONDS, 20 * MINUTE, 55 * MINUTE, 1.0, 4.0), replicas)


def _on_off(replicas: float, _: int) -> Scenario:
    """Ten minutes on, ten minutes off."""
    return _plain(shapes.on_off(DURATION_SECONDS, 20 * MINUTE, 0.4, 1.6), replicas)


def _regression(replicas: float, seed: int) -> Scenario:
    """A release that takes 1.6 times as long, with a gentle day's load; capacity falls to less than half."""
    plain = _plain(shapes.diurnal(DURATION_SECONDS, seed, swing=0.15), replicas / 1.8)
    release = Shift(30 * MINUTE, service_factor=1.6, new_version=True)
    return replace(plain, shifts=(release,), max_replicas=round(ROOM * replicas))


def _bad_regression(replicas: float, seed: int) -> Scenario:
    """A release that takes twice as long, under a promise of 400 ms."""
    shape = shapes.diurnal(DURATION_SECONDS, seed, swing=0.15)
    plain = _plain(shape, replicas / 1.9, capacity_rps=42.0)
    release = Shift(30 * MINUTE, service_factor=2.0, new_version=True)
    return replace(plain, target_seconds=0.4, shifts=(release,), max_replicas=round(ROOM * replicas))


def _io_bound(replicas: float, seed: int) -> Scenario:
    """A day on a service that waits for 70 % of its time: CPU utilization never passes 30 %."""
    return _plain(shapes.diurnal(DURATION_SECONDS, seed), replicas, services.PRESETS["io"])


def _slow_dependency(replicas: float, seed: int) -> Scenario:
    """The database that all pods share takes four times as long for 20 minutes: pods do not help."""
    load = shapes.diurnal(DURATION_SECONDS, seed, swing=0.15)
    rps = replicas * CAPACITY_RPS
    database = Dependency(servers=max(2, round(rps * 0.010 * 2)), mean_seconds=0.010)
    plain = _plain(load, replicas, Service(mean_seconds=0.030, dependency=database))
    slow = Shift(25 * MINUTE, dependency_factor=4.0)
    return replace(
        plain, shifts=(slow, Shift(45 * MINUTE, dependency_factor=1.0)), max_replicas=max(4, round(3 * replicas))
    )


def _slow_pods(replicas: float, _: int) -> Scenario:
    """A tenth of the pods takes three times as long for 25 minutes, as on a node with a bad neighbour."""
    plain = _plain(shapes.constant(DURATION_SECONDS), replicas)
    sick = Shift(20 * MINUTE, slow_pods_share=0.1, slow_pods_factor=3.0)
    return replace(plain, shifts=(sick, Shift(45 * MINUTE, slow_pods_share=0.0)))


def _cold_cache(replicas: float, _: int) -> Scenario:
    """The cache that answers nine of ten lookups is emptied, and takes 15 minutes to fill again."""
    database = Dependency(servers=max(4, round(replicas * CAPACITY_RPS * 0.030 * 1.6)), mean_seconds=0.030)
    service = Service(mean_seconds=0.030, dependency=database, hit_ratio=0.9)
    plain = _plain(shapes.constant(DURATION_SECONDS), replicas, service)
    filling = ((25, 0.0), (30, 0.3), (35, 0.6), (40, 0.9))
    return replace(plain, shifts=tuple(Shift(minute * MINUTE, hit_ratio=ratio) for minute, ratio in filling))


def _metrics_outage(replicas: float, _: int) -> Scenario:
    """Prometheus does not answer for 10 minutes, while the load rises by a quarter."""
    plain = _plain(shapes.ramp(DURATION_SECONDS, 25 * MINUTE, 45 * MINUTE, 1.0, 1.6), replicas)
    return replace(plain, shifts=(Shift(30 * MINUTE, metrics_up=False), Shift(40 * MINUTE, metrics_up=True)))


def _slow_start(replicas: float, seed: int) -> Scenario:
    """Pods that took 30 seconds to start take 120."""
    plain = _plain(shapes.diurnal(DURATION_SECONDS, seed), replicas)
    return replace(plain, shifts=(Shift(15 * MINUTE, startup_seconds=120.0),))


def _unreachable(replicas: float, seed: int) -> Scenario:
    """A promise that an idle pod breaks already: 250 ms of work on average, promised in 250 ms."""
    service = Service(mean_seconds=0.250)
    plain = _plain(shapes.diurnal(DURATION_SECONDS, seed, swing=0.3), replicas, service, capacity_rps=5.0)
    return replace(plain, initial_replicas=round(replicas))


def _throttling(replicas: float, seed: int) -> Scenario:
    """A CPU limit of one core for two workers: throttled long before both are busy."""
    service = Service(cpu_limit_cores=1.0, cpu_request_cores=1.0)
    return _plain(shapes.diurnal(DURATION_SECONDS, seed), replicas, service, capacity_rps=15.0)


def _low_traffic(replicas: float, seed: int) -> Scenario:
    """20 requests a second, and a promise about 99 of 100 of them."""
    plain = _plain(shapes.noisy(DURATION_SECONDS, seed, deviation=0.1), 1.0, capacity_rps=20.0)
    return replace(plain, percentile=99.0, max_replicas=max(10, round(replicas)))


_SCENARIOS: Mapping[str, Build] = {
    "diurnal": _diurnal,
    "noisy": _noisy,
    "bursty": _bursty,
    "flash-crowd": _flash_crowd,
    "step": _step,
    "ramp": _ramp,
    "on-off": _on_off,
    "regression": _regression,
    "bad-regression": _bad_regression,
    "io-bound": _io_bound,
    "slow-dependency": _slow_dependency,
    "slow-pods": _slow_pods,
    "cold-cache": _cold_cache,
    "metrics-outage": _metrics_outage,
    "slow-start": _slow_start,
    "unreachable": _unreachable,
    "throttling": _throttling,
    "low-traffic": _low_traffic,
}
