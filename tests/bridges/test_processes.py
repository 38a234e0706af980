"""Bridges in whole programs: exit, signals, forks and monkey-patching."""

import subprocess
import sys
from textwrap import dedent

import pytest

from tests.support.programs import ROOT, STRICT_WARNINGS

STARTED = """
    import asyncio, gc, os, sys, threading, time
    import kademlua
    KEY, SILENT = kademlua.sha1("key"), ("127.0.0.1", 9)
    node = kademlua.ThreadedNode()
    node.start()
    def ask():
        try:
            node.ping(SILENT, timeout=60)
        except kademlua.NodeClosed:
            pass
"""


def run(program: str, *, code: int = 0) -> tuple[str, str]:
    """Run a program with warnings as errors, and return its stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", *STRICT_WARNINGS, "-c", dedent(program)],
        capture_output=True,
        text=True,
        timeout=40,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("threading.Thread(target=ask, daemon=True).start()", 0),
        ("kademlua.ThreadedNode().start()", 0),
        ("with kademlua.ThreadedNode() as other: sys.exit(4)", 4),
        ("asyncio.run(kademlua.AsyncNode().start())", 0),
        ("del node", 0),
        ("import atexit; atexit.register(lambda: node.close())", 0),
    ],
)
def test_program_ends_without_closing_its_node(ending: str, code: int) -> None:
    assert run(f"{STARTED}\n    {ending}", code=code) == ("", "")


def test_signal_ends_a_call() -> None:
    program = """
    import signal
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        node.ping(SILENT, timeout=60)
    except KeyboardInterrupt:
        while node.stats()["calls_in_flight"]:
            time.sleep(0.001)
        print("ended")
    """
    assert run(STARTED + program) == ("ended\n", "")


def test_signal_handler_may_call_and_close_the_node() -> None:
    """The handler interrupts other calls anywhere, and must not wait for their locks."""
    program = """
    import signal
    handled = []
    def handle(*_):
        handled.append(node.network_size())
        if len(handled) == 200:
            node.close()
    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        while True:
            node.find_value(KEY)
    except kademlua.NodeClosed:
        signal.setitimer(signal.ITIMER_REAL, 0)
        print("ended")
    """
    assert run(STARTED + program) == ("ended\n", "")


def test_forked_child_needs_a_node_of_its_own() -> None:
    program = """
    other = kademlua.AsyncNode()
    asyncio.run(other.start())
    bootstrap = [node.contact.endpoint]
    if child := os.fork():
        print("child ended with", os.waitpid(child, 0)[1])
        print(node.find_value(KEY, max_nodes=1)[0].values)
        sys.exit()
    try:
        node.stats()
    except kademlua.NodeClosed as error:
        print(str(error).replace(str(os.getppid()), "PARENT"))
    try:
        asyncio.run(other.stats())
    except kademlua.NodeClosed:
        print("the other node is closed too")
    node.close()
    asyncio.run(other.close())
    del node, other
    gc.collect()
    with kademlua.ThreadedNode(bootstrap=bootstrap) as own:
        own.add(KEY, "from the child")
    sys.stdout.flush()
    """
    assert run(STARTED + program) == (
        "the node belongs to process PARENT; after a fork, make a new node\n"
        "the other node is closed too\n"
        "child ended with 0\n"
        "[b'from the child']\n",
        "",
    )


def test_multiprocessing_child_ends() -> None:
    program = """
    import multiprocessing
    child = multiprocessing.get_context("fork").Process(target=print, args=("child",))
    child.start()
    child.join(20)
    print(child.exitcode, node.joined)
    """
    assert run(STARTED + program) == ("child\n0 True\n", "")


PATCHED = f"""
    from gevent import monkey
    monkey.patch_all()
    import gevent
    {STARTED}
    def use(number):
        with kademlua.ThreadedNode(bootstrap=[node.contact.endpoint]) as other:
            other.add(kademlua.sha1(str(number)), number)
            return other.find_value(kademlua.sha1(str(number)), max_nodes=1)[0].values
"""


class TestMonkeyPatched:
    def test_patched_threads_are_greenlets_that_keep_running(self) -> None:
        program = """
    turns = []
    def turn():
        while True:
            turns.append(1)
            time.sleep(0.001)
    threading.Thread(target=turn, daemon=True).start()
    try:
        node.ping(SILENT, timeout=0.2)
    except kademlua.RpcTimeout:
        print(len(turns) > 20)
    used = [gevent.spawn(use, number) for number in range(5)]
    print([each.get() for each in used])
        """
        assert run(PATCHED + program) == ("True\n[[0], [1], [2], [3], [4]]\n", "")

    def test_real_thread_of_a_patched_program(self) -> None:
        program = "print(gevent.get_hub().threadpool.apply(use, (7,)))"
        assert run(f"{PATCHED}\n    {program}") == ("[7]\n", "")

    def test_asyncio_in_a_patched_program(self) -> None:
        program = """
    async def main():
        async with kademlua.AsyncNode(bootstrap=[node.contact.endpoint]) as other:
            await asyncio.gather(*(other.add(kademlua.sha1(str(n)), n) for n in range(20)))
            try:
                async with asyncio.timeout(0.05):
                    await other.ping(SILENT, timeout=60)
            except TimeoutError:
                print("timed out")
    asyncio.run(main())
    print(node.stats()["values"])
        """
        assert run(PATCHED + program) == ("timed out\n20\n", "")

    def test_fork_of_a_patched_program(self) -> None:
        program = """
    if child := os.fork():
        print("child ended with", os.waitpid(child, 0)[1])
        print(use(1))
        sys.exit()
    try:
        node.stats()
    except kademlua.NodeClosed:
        print("closed")
    bootstrap = node.contact.endpoint
    with kademlua.ThreadedNode(bootstrap=[bootstrap]) as own:
        print(own.joined, flush=True)
        """
        assert run(PATCHED + program) == ("closed\nTrue\nchild ended with 0\n[1]\n", "")
