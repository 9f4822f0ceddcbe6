"""Prometheus: one adapter around its client, one source an administrator defined."""
