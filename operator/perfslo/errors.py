"""Everything this package raises on purpose.

    PerfsloError
    ├── ConfigurationError       settings or manifests that cannot work; the message says what to write
    │   └── NotConsented         there is no such object whose owner consents to changes
    ├── SourceError              a Prometheus source did not give a usable answer
    │   ├── SourceUnreachable    refused, timed out, TLS, DNS
    │   ├── SourceRejected       it answered, and said no to us (401, 403, 404, a redirect)
    │   │   └── QueryRejected    it answered, and said no to this one query (bad regex, too many samples)
    │   └── SourceUnwell         5xx, wrong content, truncated, too large, partial
    ├── HookFailed               an administrator's HTTP hook said no (4xx, a redirect), or what nobody understands
    │   └── HookUnwell           refused, timed out, 429, 5xx: ask again later
    ├── ApiError                 the Kubernetes API server did not do what was asked
    │   ├── ApiUnavailable       refused, timed out, 429, 5xx: ask again later
    │   │   └── Silent           a watch told nothing for long: its kind is at rest, or its connection dead
    │   ├── Expired              410, the resourceVersion is too old: list again
    │   └── WriteRefused         it would not have a write (a read meets NotFound and Denied, too)
    │       ├── LostRace         what was tested in the same request had changed
    │       ├── WriteConflict    another writer has the lever; the message says who, and what to do
    │       ├── NotFound         it is gone, or its kind is not served
    │       └── Denied           RBAC or admission said no
    └── NotLeading               the lease no longer holds: nothing may be written

Messages never carry a source's response, a URL with a query, or a credential.
"""

from __future__ import annotations


class PerfsloError(Exception):
    """Root of the tree. `reason` is CamelCase and goes into conditions, metrics and logs."""

    reason = "Error"


class ConfigurationError(PerfsloError):
    reason = "ConfigurationInvalid"


class NotConsented(ConfigurationError):
    reason = "ConfigMapNotManaged"


class SourceError(PerfsloError):
    reason = "PrometheusError"


class SourceUnreachable(SourceError):
    reason = "PrometheusUnreachable"


class SourceRejected(SourceError):
    reason = "PrometheusRejected"


class QueryRejected(SourceRejected):
    reason = "QueryRejected"


class SourceUnwell(SourceError):
    reason = "PrometheusUnwell"


class HookFailed(PerfsloError):
    reason = "HookFailed"


class HookUnwell(HookFailed):
    reason = "HookUnwell"


class ApiError(PerfsloError):
    reason = "ApiError"


class ApiUnavailable(ApiError):
    reason = "ApiUnavailable"

    def __init__(self, message: str, *, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        """What the server asked for; 0 when it did not say."""


class Silent(ApiUnavailable):
    reason = "Silent"


class Expired(ApiError):
    reason = "Expired"


class WriteRefused(ApiError):
    reason = "WriteRefused"


class LostRace(WriteRefused):
    reason = "LostRace"


class WriteConflict(WriteRefused):
    reason = "WriteConflict"


class NotFound(WriteRefused):
    reason = "NotFound"


class Denied(WriteRefused):
    reason = "Denied"


class NotLeading(PerfsloError):
    reason = "NotLeading"
