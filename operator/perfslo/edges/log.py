"""One JSON object a line, for our own lines and for those of kopf and every other library alike."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

_NOISY = ("aiohttp.access", "asyncio", "urllib3")


def configure(level: str = "info") -> None:
    """Send every log line of the process to stderr in one shape: time, level, logger, event, then its fields."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        _kopf_object,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _kopf_object(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """kopf attaches the object as `k8s_ref`/`k8s_skip`; ours are called namespace and name."""
    reference = event.pop("k8s_ref", None)
    event.pop("k8s_skip", None)
    event.pop("settings", None)
    if isinstance(reference, dict):
        event.setdefault("namespace", reference.get("namespace"))
        event.setdefault("name", reference.get("name"))
    return event
