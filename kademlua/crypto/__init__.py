"""Signing keys, signature checks and key files."""
