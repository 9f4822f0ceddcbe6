"""perfslo: a Kubernetes operator that keeps promises about latency."""

__version__ = "0.1.0"
