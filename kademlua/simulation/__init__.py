"""Thousands of real nodes in one process, on a virtual clock and a virtual network.

Nothing else of Kademlua imports this package: a node on UDP runs without it.
"""
