"""The node that a swarm bootstraps from: somebody else's, or one of our own."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from kademlua.core.contact import format_endpoint
from kademlua.core.errors import KademluaError, RpcFailed
from kademlua.core.params import Params
from kademlua.node.node import Node
from kademlua.swarm.launcher import SwarmError
from kademlua.swarm.logs import NodeLogs
from kademlua.swarm.plan import Plan, node_id
from kademlua.swarm.resource_limits import is_free, is_local

_TRIES = 2


def is_answering(plan: Plan) -> bool:
    """Whether a node of the plan's network answers a ping at its bootstrap address.

    Where one could listen oneself nobody is, which is quicker to see than silence.
    """
    if is_free(plan.bootstrap):
        return False
    with Node(0, plan.host, read_only=True, network_keys=plan.network_keys) as node:
        for _ in range(_TRIES):
            try:
                node.ping(plan.bootstrap)
            except RpcFailed:
                return True
            except KademluaError:
                continue
            return True
    return False


@contextmanager
def control_node(plan: Plan, log_dir: Path) -> Iterator[Node]:
    """A control node at the plan's bootstrap address; SwarmError where it can't be there."""
    addr, port = plan.bootstrap
    where = format_endpoint(plan.bootstrap)
    if not is_local(addr):
        complaint = f"nobody answers at {where}, which is no address of this machine"
        if ipaddress.ip_address(plan.host).is_loopback:
            complaint += (
                f"; from {plan.host} only this machine is reached: --host 0.0.0.0 is for more"
            )
        raise SwarmError(complaint)
    complaint = f"nobody answers at {where}, and no node can be there"
    with ExitStack() as at_end:
        store = None
        if plan.data_dir:
            from kademlua.storage.node_state import NodeState

            state = NodeState(Path(plan.data_dir) / str(port), Params())
            at_end.callback(state.close)
            state.keep_id(node_id(port))
            store = state.store
        node = Node(port, addr, id=node_id(port), store=store, network_keys=plan.network_keys)
        at_end.enter_context(_started(node, str(port), log_dir, complaint))
        yield node


@contextmanager
def guest_node(plan: Plan, log_dir: Path) -> Iterator[Node]:
    """A node for the shell, on a free port, where somebody else has the control node."""
    node = Node(0, plan.host, bootstrap=[plan.bootstrap], network_keys=plan.network_keys)
    with _started(node, "shell", log_dir, f"no node for the shell on {plan.host}"):
        node.wait_joined()
        yield node


@contextmanager
def _started(node: Node, name: str, log_dir: Path, complaint: str) -> Iterator[None]:
    """Start a node and close it after; it logs into a file of its own, as the swarm's do."""
    logger = logging.getLogger("kademlua")
    handler = NodeLogs(log_dir)
    before = logger.level
    try:
        handler.begin(node.id, name)
        node.start()
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        raise SwarmError(f"{complaint}: {what}{error.strerror}") from None
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        node.close(hand_over=False)  # the whole swarm ends
