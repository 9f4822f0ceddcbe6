"""Benchmarks: what the operator costs and what it brings, with results committed as data."""
