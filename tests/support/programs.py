"""Environment of programs that tests run."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# From Python 3.12 on each fork in a program with threads warns that the child has none of them.
STRICT_WARNINGS = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
"""Options by which warnings are errors."""


@contextmanager
def bootstrap_process() -> Iterator[int]:
    """The port of a node of another process, to which a program may join."""
    code = (
        "import gevent.os, kademlua\n"
        "with kademlua.Node() as node:\n"
        "    print(node.contact.port, flush=True)\n"
        "    gevent.os.tp_read(0, 1)\n"  # until its input ends
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    ) as process:
        assert select.select([process.stdout], [], [], 30)[0], "the node did not start"
        yield int(process.stdout.readline())
        process.stdin.close()


def environment() -> dict[str, str]:
    """For a program that runs elsewhere than in the checkout."""
    return os.environ | {"PYTHONPATH": str(ROOT)}
