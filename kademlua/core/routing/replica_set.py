"""Which nodes should hold a key: the ``replicas`` closest live ones.

The functions take the contacts that a node knows, nearest first, without the node itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from kademlua.core.contact import Contact


def is_replica(own: int, target: int, closest: Sequence[Contact], replicas: int) -> bool:
    """Return whether the node with id ``own`` is among the ``replicas`` closest to ``target``."""
    if len(closest) < replicas:
        return True
    return own ^ target < closest[replicas - 1].id_int ^ target


def other_replicas(
    own: int, target: int, closest: Sequence[Contact], replicas: int
) -> list[Contact]:
    """Return the contacts that should hold ``target``, one fewer if the node itself does."""
    if is_replica(own, target, closest, replicas):
        return list(closest[: replicas - 1])
    return list(closest[:replicas])
