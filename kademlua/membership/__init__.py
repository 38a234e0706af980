"""Joining a network, staying in it, and learning whether peers can reach this node."""
