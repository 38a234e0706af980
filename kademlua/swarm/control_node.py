"""The control node, from which a swarm bootstraps."""

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
from kademlua.node.options import NodeOptions
from kademlua.swarm.launcher import SwarmError
from kademlua.swarm.logs import NodeLogHandler, unwritable_log_message
from kademlua.swarm.plan import Plan, node_id
from kademlua.swarm.resource_limits import is_bindable, is_local_address

_PING_ATTEMPTS = 2


def is_bootstrap_answering(plan: Plan) -> bool:
    """Return whether a node of the plan's network replies to a ping at the bootstrap address.

    A bindable address has no node; this check avoids a timeout.
    """
    if is_bindable(plan.bootstrap):
        return False
    with Node(
        0, plan.host, read_only=True, options=NodeOptions(network_keys=plan.network_keys)
    ) as node:
        for _ in range(_PING_ATTEMPTS):
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
    """Run a control node at the plan's bootstrap address.

    Raises:
        SwarmError: the address is unusable.
    """
    addr, port = plan.bootstrap
    address = format_endpoint(plan.bootstrap)
    if not is_local_address(addr):
        error_prefix = f"no reply from {address}, which is not an address of this machine"
        if ipaddress.ip_address(plan.host).is_loopback:
            error_prefix += f"; {plan.host} reaches only this machine: use --host 0.0.0.0"
        raise SwarmError(error_prefix)
    error_prefix = f"no reply from {address}, and no node can start there"
    with ExitStack() as exit_stack:
        store = publications = None
        if plan.data_dir:
            from kademlua.storage.node_state import NodeState

            state = NodeState(Path(plan.data_dir) / str(port), Params())
            exit_stack.callback(state.close)
            state.persist_id(node_id(port))
            store, publications = state.store, state.publications
        options = NodeOptions(
            id=node_id(port),
            store=store,
            publication_store=publications,
            network_keys=plan.network_keys,
        )
        node = Node(port, addr, options=options)
        exit_stack.enter_context(_running(node, str(port), log_dir, error_prefix))
        yield node


@contextmanager
def joined_node(plan: Plan, log_dir: Path) -> Iterator[Node]:
    """Run a node for the shell or HTTP on a free port, next to another control node."""
    node = Node(
        0,
        plan.host,
        bootstrap=[plan.bootstrap],
        options=NodeOptions(network_keys=plan.network_keys),
    )
    with _running(node, "shell", log_dir, f"no node for the shell on {plan.host}"):
        node.wait_joined()
        yield node


@contextmanager
def _running(node: Node, name: str, log_dir: Path, error_prefix: str) -> Iterator[None]:
    """Run a node that logs to its own file."""
    logger = logging.getLogger("kademlua")
    handler = NodeLogHandler(log_dir)
    previous_level = logger.level
    try:
        handler.create_log(node.id, name)
    except OSError as error:
        raise SwarmError(unwritable_log_message(error)) from None
    try:
        node.start()
    except OSError as error:
        raise SwarmError(f"{error_prefix}: {error.strerror}") from None
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(previous_level)
        node.close(hand_over=False)  # the whole swarm ends
