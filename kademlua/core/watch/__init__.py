"""Watching keys: leases, what holders report, and what changed."""
