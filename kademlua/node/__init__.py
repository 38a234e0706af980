"""The node: everything assembled, and its public operations."""
