"""Simulation: thousands of real nodes in one process, on virtual time and a virtual network."""
