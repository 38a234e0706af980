"""Benchmarks against other implementations: ``python -m tests.benchmarks``."""
