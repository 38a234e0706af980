"""What this machine allows: open files, free ports, processors."""

from __future__ import annotations

import os
import resource
import socket

from kademlua.core.contact import Endpoint
from kademlua.core.errors import KademluaError
from kademlua.swarm.plan import Plan, in_words

SPARE_FILES = 64
"""Open files of a worker besides its nodes' sockets: pipes, the hub's, a log, libraries."""


class LimitError(KademluaError):
    """This machine can't hold the swarm; the message says what would help."""


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def raise_open_files(plan: Plan) -> None:
    """Raise the limit of open files of this process and its children to what the plan needs.

    Every node has a socket, and perhaps files. LimitError where the system does not allow
    so many.
    """
    needed = max(map(len, plan.shares)) * plan.files_per_node + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard == resource.RLIM_INFINITY or hard >= needed:
        wanted = (needed, hard)
    else:  # root may raise the hard limit, too
        wanted = (needed, needed)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, wanted)
    except (OSError, ValueError):
        raise LimitError(_why_not(plan, max(soft, hard), needed)) from None


def _why_not(plan: Plan, limit: int, needed: int) -> str:
    workers = len(plan.shares)
    fit = max(limit - SPARE_FILES, 0) // plan.files_per_node * workers
    return (
        f"{plan.count:,} nodes in {_counted(workers, 'worker')} need {needed:,} open files each,"
        f" and {limit:,} are allowed: {_counted(fit, 'node')} would fit;"
        f" set `ulimit -n {needed}`, or take more --workers"
    )


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def check_ports(plan: Plan) -> None:
    """LimitError where ports of the plan are in use, or the address is not of this machine.

    They may be taken between this and their use; to try them all first tells which ones.
    """
    taken = []
    for port in plan.ports:
        try:
            _try_bind((plan.host, port))
        except PermissionError:
            raise LimitError(f"port {port} is not for this user to listen on") from None
        except OSError as error:
            if not is_local(plan.host):
                raise LimitError(f"can't listen on {plan.host}: {error.strerror}") from None
            taken.append(port)
    if taken:
        raise LimitError(f"{in_words(taken)} of {plan.host}: in use by another program")


def is_local(addr: str) -> bool:
    """Whether an IP address is one of this machine."""
    return is_free((addr, 0))


def is_free(endpoint: Endpoint) -> bool:
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
