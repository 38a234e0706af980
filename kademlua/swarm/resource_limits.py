"""What this machine allows: open files, free ports, processors."""

from __future__ import annotations

import os
import resource
import socket

from kademlua.core.contact import Endpoint
from kademlua.core.errors import KademluaError
from kademlua.swarm.plan import Plan, format_ports

SPARE_FILES = 64
"""Open files of a worker besides its nodes' sockets: pipes, the hub's, a log, libraries."""


class ResourceLimitError(KademluaError):
    """This machine can't hold the swarm; the message says what would help."""


def cpu_count() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def raise_open_file_limit(plan: Plan) -> None:
    """Raise the limit of open files of this process and its children to what the plan needs.

    Every node has a socket, and perhaps files. LimitError where the system does not allow
    so many.
    """
    needed = max(map(len, plan.worker_ports)) * plan.files_per_node + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard == resource.RLIM_INFINITY or hard >= needed:
        new_limits = (needed, hard)
    else:  # root may raise the hard limit, too
        new_limits = (needed, needed)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, new_limits)
    except (OSError, ValueError):
        raise ResourceLimitError(_open_file_message(plan, max(soft, hard), needed)) from None


def _open_file_message(plan: Plan, limit: int, needed: int) -> str:
    worker_count = len(plan.worker_ports)
    capacity = max(limit - SPARE_FILES, 0) // plan.files_per_node * worker_count
    return (
        f"{plan.node_count:,} nodes in {_plural(worker_count, 'worker')} need {needed:,} open files"
        " each,"
        f" and {limit:,} are allowed: {_plural(capacity, 'node')} would fit;"
        f" set `ulimit -n {needed}`, or take more --workers"
    )


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def check_ports(plan: Plan) -> None:
    """LimitError where ports of the plan are in use, or the address is not of this machine.

    They may be taken between this and their use; to try them all first tells which ones.
    """
    used = []
    for port in plan.ports:
        try:
            _try_bind((plan.host, port))
        except PermissionError:
            raise ResourceLimitError(f"port {port} is not for this user to listen on") from None
        except OSError as error:
            if not is_local_address(plan.host):
                raise ResourceLimitError(f"can't listen on {plan.host}: {error.strerror}") from None
            used.append(port)
    if used:
        raise ResourceLimitError(f"{format_ports(used)} of {plan.host}: in use by another program")


def is_local_address(addr: str) -> bool:
    """Whether an IP address is one of this machine."""
    return is_bindable((addr, 0))


def is_bindable(endpoint: Endpoint) -> bool:
    """Whether a node could listen at an endpoint: it is of this machine, and not in use."""
    try:
        _try_bind(endpoint)
    except OSError:
        return False
    return True


def _try_bind(endpoint: Endpoint) -> None:
    addr = endpoint[0]
    family = socket.AF_INET6 if ":" in addr else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, addr != "::")
        sock.bind(endpoint)
