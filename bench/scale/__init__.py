"""What thousands of SLOs cost: a real API server, a real Prometheus, and the operator beside them."""
