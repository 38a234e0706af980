"""Attacks on a node in a process of its own, while an honest peer finds values there."""
