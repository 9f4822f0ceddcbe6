"""The world outside: Kubernetes, Prometheus, HTTP, time."""
