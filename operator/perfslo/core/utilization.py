"""What the pods of an SLO use, as the status shows it. What is unknown is absent, a known zero is shown."""

from __future__ import annotations

from collections.abc import Callable

from perfslo.api.v1alpha1 import UtilizationStatus
from perfslo.core import objectives, text
from perfslo.core.model import Observation, Signal


def utilization(observation: Observation) -> UtilizationStatus:
    """All of it."""
    return UtilizationStatus(
        cpu=words(observation.cpu_cores, text.cores),
        cpu_of_request=_share(objectives.cpu_ratio(observation)),
        cpu_throttled=words(observation.cpu_throttled_ratio, text.percent),
        memory=words(observation.memory_bytes, text.size),
        memory_of_request=_share(objectives.memory_ratio(observation)),
        memory_of_limit=_share(objectives.memory_limit_ratio(observation)),
        disk_read=words(observation.disk_read_bytes_per_second, text.speed),
        disk_write=words(observation.disk_write_bytes_per_second, text.speed),
        network_receive=words(observation.network_receive_bytes_per_second, text.speed),
        network_transmit=words(observation.network_transmit_bytes_per_second, text.speed),
    )


def disk(observation: Observation) -> str | None:
    """Bytes read and written together."""
    return _both(observation.disk_read_bytes_per_second, observation.disk_write_bytes_per_second)


def network(observation: Observation) -> str | None:
    """Bytes received and sent together."""
    return _both(observation.network_receive_bytes_per_second, observation.network_transmit_bytes_per_second)


def words(signal: Signal, unit: Callable[[float], str]) -> str | None:
    """A signal in the words of its unit."""
    value = objectives.number(signal)
    return None if value is None else unit(value)


def _share(ratio: float | None) -> str | None:
    return None if ratio is None else text.percent(ratio)


def _both(one: Signal, other: Signal) -> str | None:
    first, second = objectives.number(one), objectives.number(other)
    return None if first is None or second is None else text.speed(first + second)
