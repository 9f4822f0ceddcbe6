"""Numbers as people write them: the same words in conditions, Events, logs and columns."""

from __future__ import annotations

from datetime import UTC, datetime


def seconds(value: float) -> str:
    """A response time or delay: 41ms, 312ms, 1.24s, 95s, 12m."""
    if value < 0.01:
        return f"{value * 1000:.1f}ms"
    if value < 1:
        return f"{value * 1000:.0f}ms"
    if value < 10:
        return f"{value:.2f}s"
    return f"{value:.0f}s" if value < 600 else f"{_whole(value / 60)}m"


def percent(ratio: float) -> str:
    """A share: 0.2%, 7.5%, 71%."""
    return f"{ratio * 100:.1f}%" if abs(ratio) < 0.1 else f"{_whole(ratio * 100)}%"


def percent_number(ratio: float) -> str:
    """A share that may be negative or above all, as a number of percent to one decimal: 93.1, -240.0."""
    return f"{round(ratio * 100, 1) + 0.0:.1f}" if abs(ratio) < 1e10 else f"{ratio * 100:.3g}"


def rate(per_second: float) -> str:
    """Requests a second, without the unit: 0.4, 52.3, 1204."""
    return f"{per_second:.1f}" if per_second < 100 else _whole(per_second)


def count(number: float) -> str:
    """A whole number of things: 12."""
    return _whole(number)


def cores(value: float) -> str:
    """CPU in use, in thousandths of a core, as `kubectl top` has it: 750m."""
    return f"{_whole(value * 1000)}m"


def size(value: float) -> str:
    """Bytes of memory, with Kubernetes' binary units: 0Ki, 412Mi, 1.2Gi."""
    return _scaled(value / 1024, 1024, ("Ki", "Mi", "Gi", "Ti"))


def speed(per_second: float) -> str:
    """Bytes a second of a disk or a network, with decimal units: 0B/s, 85kB/s, 1.2MB/s."""
    return _scaled(per_second, 1000, ("B/s", "kB/s", "MB/s", "GB/s", "TB/s"))


def _scaled(number: float, step: int, units: tuple[str, ...]) -> str:
    power = 0
    while number >= step and power < len(units) - 1:
        number, power = number / step, power + 1
    return f"{number:.1f}{units[power]}" if power and number < 10 else f"{_whole(number)}{units[power]}"


def _whole(number: float) -> str:
    """Without decimals; what is absurdly large stays short."""
    return f"{number:.0f}" if number < 1e12 else f"{number:.3g}"


def clipped(words: str, length: int) -> str:
    """The text, cut to the length that the API admits."""
    return words if len(words) <= length else f"{words[: length - 1]}…"


def timestamp(unix_seconds: float) -> str:
    """RFC 3339 in UTC to the second, as Kubernetes writes metav1.Time."""
    return datetime.fromtimestamp(int(unix_seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unix_seconds(timestamp_text: str) -> float:
    """The reverse of `timestamp`. Raises ValueError."""
    return datetime.fromisoformat(timestamp_text).timestamp()
