"""Everything this package raises on purpose.

    PerfsloError
    ├── ConfigurationError       settings or manifests that cannot work; the message says what to write
    ├── SourceError              a Prometheus source did not give a usable answer
    │   ├── SourceUnreachable    refused, timed out, TLS, DNS
    │   ├── SourceRejected       it answered, and said no (401, 403, 4xx, bad query)
    │   └── SourceUnwell         5xx, wrong content, truncated, too large, partial
    ├── WriteRefused             the API server would not have a write: lost race, gone, denied
    │   ├── LostRace             what was tested in the same request had changed
    │   └── Denied               RBAC or admission said no
    └── NotLeading               the lease no longer holds: nothing may be written

Messages never carry a response's body, a URL with a query, or a credential.
"""

from __future__ import annotations


class PerfsloError(Exception):
    """Root of the tree. `reason` is CamelCase and goes into conditions, metrics and logs."""

    reason = "Error"


class ConfigurationError(PerfsloError):
    reason = "ConfigurationInvalid"


class SourceError(PerfsloError):
    reason = "PrometheusError"


class SourceUnreachable(SourceError):
    reason = "PrometheusUnreachable"


class SourceRejected(SourceError):
    reason = "PrometheusRejected"


class SourceUnwell(SourceError):
    reason = "PrometheusUnwell"


class WriteRefused(PerfsloError):
    reason = "WriteRefused"


class LostRace(WriteRefused):
    reason = "LostRace"


class Denied(WriteRefused):
    reason = "Denied"


class NotLeading(PerfsloError):
    reason = "NotLeading"
