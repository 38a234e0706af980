"""The pure heart of Kademlua: no gevent, no socket, no clock, no global chance.

Whatever here depends on time or chance is handed ``now`` and ``rng``. Modules
above this floor may import from it; it imports nothing from them.
"""
