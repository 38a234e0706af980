"""Benchmarks beside other implementations; programs, not tests: ``python -m tests.benchmarks``."""
