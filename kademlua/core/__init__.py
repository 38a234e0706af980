"""The pure core of Kademlua: no gevent, sockets, clock or global random.

Code that depends on time or random numbers takes ``now`` and ``rng`` as arguments.
"""
