"""The interactive shell of a node."""
