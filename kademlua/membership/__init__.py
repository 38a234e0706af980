"""Joining a network, staying in it and being reachable."""
