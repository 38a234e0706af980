"""Scenarios: their types, and their TOML files."""
