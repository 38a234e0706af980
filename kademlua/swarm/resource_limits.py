"""The limits of this machine: open files, free ports, processors."""

from __future__ import annotations

import os
import resource
import socket

from kademlua.core.contact import Endpoint
from kademlua.core.errors import KademluaError
from kademlua.swarm.plan import Plan, format_ports
from kademlua.terminal.text import plural

SPARE_FILES = 64
"""Open files of a worker in addition to its nodes' files: pipes, event loop, log, libraries."""


class ResourceLimitError(KademluaError):
    """This machine cannot run the swarm; the message suggests a remedy."""


def cpu_count() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def raise_open_file_limit(plan: Plan) -> None:
    """Raise the open file limit of this process and its children to what the plan needs.

    Raises:
        ResourceLimitError: the system does not allow it.
    """
    needed = max(map(len, plan.worker_ports)) * plan.files_per_node + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard == resource.RLIM_INFINITY or hard >= needed:
        new_limits = (needed, hard)
    else:  # root may also raise the hard limit
        new_limits = (needed, needed)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, new_limits)
    except (OSError, ValueError):
        raise ResourceLimitError(_open_file_message(plan, max(soft, hard), needed)) from None


def _open_file_message(plan: Plan, limit: int, needed: int) -> str:
    worker_count = len(plan.worker_ports)
    capacity = max(limit - SPARE_FILES, 0) // plan.files_per_node * worker_count
    return (
        f"{plan.node_count:,} nodes in {plural(worker_count, 'worker')} need {needed:,} open files"
        f" each, but the limit is {limit:,}, enough for {plural(capacity, 'node')};"
        f" run `ulimit -n {needed}`, or use more --workers"
    )


def check_ports(plan: Plan) -> None:
    """Check that the ports of the plan are free, to report all used ones together.

    Raises:
        ResourceLimitError: ports are in use, or the address is not local.
    """
    used = []
    for port in plan.ports:
        try:
            _try_bind((plan.host, port))
        except PermissionError:
            raise ResourceLimitError(f"no permission to listen on port {port}") from None
        except OSError as error:
            if not is_local_address(plan.host):
                raise ResourceLimitError(f"can't listen on {plan.host}: {error.strerror}") from None
            used.append(port)
    if used:
        raise ResourceLimitError(
            f"{format_ports(used)} of {plan.host}: in use by another program, such as another"
            " swarm; choose other ports with --first-port"
        )


def is_local_address(addr: str) -> bool:
    """Return whether an IP address belongs to this machine."""
    return is_bindable((addr, 0))


def is_bindable(endpoint: Endpoint) -> bool:
    """Return whether an endpoint is local and free."""
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
