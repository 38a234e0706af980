"""Iterative lookups as pure state machines."""
