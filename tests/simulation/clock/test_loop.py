"""Virtual time: the clock, the loop interface, and the start and end of a run."""

import gc
import subprocess
import sys
import threading
import time
import weakref

import gevent
import pytest
from gevent import Timeout, monkey
from gevent._interfaces import ILoop  # gevent exports its interfaces nowhere else
from gevent.event import AsyncResult, Event
from gevent.queue import Queue
from hypothesis import given, settings
from hypothesis import strategies as st
from zope.interface import classImplements
from zope.interface.verify import verifyObject

from kademlua.core.errors import KademluaError
from kademlua.simulation.clock import event_queue
from kademlua.simulation.clock.loop import (
    Deadlock,
    RealIOError,
    VirtualLoop,
    run_virtual,
    virtual_loop,
    virtual_now,
)
from kademlua.simulation.clock.timers import Timer

# Time.


def test_time_begins_at_0_and_jumps():
    def main():
        assert virtual_now() == 0
        began = time.perf_counter()
        gevent.sleep(86_400 * 365)
        assert time.perf_counter() - began < 10
        return virtual_now()

    assert run_virtual(main) == 86_400 * 365


@given(st.lists(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 7.0]), max_size=6), max_size=6))
@settings(max_examples=40)
def test_sleepers_wake_exactly_on_time_and_in_order(programs):
    woken = []

    def sleep(naps):
        slept = 0.0
        for nap in naps:
            gevent.sleep(nap)
            slept += nap
            assert virtual_now() == slept
            woken.append(slept)

    def main():
        greenlets = [gevent.spawn(sleep, naps) for naps in programs]
        gevent.joinall(greenlets, raise_error=True)

    run_virtual(main)
    assert woken == sorted(woken)
    assert len(woken) == sum(map(len, programs))


def test_scheduled_functions_run_in_order_of_time_then_of_scheduling():
    def main():
        seen = []
        loop = virtual_loop()
        for number, delay in enumerate([2, 1, 1, 0, 2]):
            loop.schedule(delay, lambda number: seen.append((number, virtual_now())), number)
        gevent.sleep(3)
        return seen

    assert run_virtual(main) == [(3, 0), (1, 1), (2, 1), (0, 2), (4, 2)]


def test_stopped_timers_are_freed_before_their_time():
    def main():
        loop = virtual_loop()
        for _ in range(20_000):
            with Timeout(1_000):
                pass
            with Timeout(1_000, ref=False):
                pass
        gevent.sleep(1)
        assert sum(isinstance(each, Timer) for each in gc.get_objects()) < 3_000
        gevent.sleep(2_000)
        assert loop.activecnt == 0
        return virtual_now()

    assert run_virtual(main) == 2_001


def test_timer_without_ref_does_not_keep_the_loop_alive():
    def main():
        timer = gevent.get_hub().loop.timer(5, ref=False)
        timer.start(lambda: None)
        gevent.spawn_later(2, lambda: None)
        assert gevent.wait()
        assert virtual_now() == 2
        Event().wait()

    with pytest.raises(Deadlock, match=r"at 2\.0 s"):
        run_virtual(main)


def test_busy_waiting_greenlet_lets_time_pass_and_is_logged(caplog):
    def main():
        loop = virtual_loop()
        timer = loop.timer(0)

        def again():
            timer.stop()
            timer.start(again)

        timer.start(again)
        gevent.sleep(1)
        return virtual_now()

    assert run_virtual(main) == 1
    assert caplog.messages == ["a greenlet busy-waits at 0.0 s of virtual time"]


# The interface.


def test_loop_implements_the_interface_of_gevent():
    classImplements(VirtualLoop, ILoop)
    assert verifyObject(ILoop, VirtualLoop())


@pytest.mark.parametrize(
    "ask",
    [
        lambda: gevent.socket.wait_read(0),
        lambda: gevent.socket.getaddrinfo("localhost", 80),
        lambda: gevent.socket.create_connection(("127.0.0.1", 9)),
        lambda: gevent.get_hub().threadpool.apply(print),
        lambda: gevent.signal_handler(10, print),
        lambda: gevent.get_hub().loop.child(1),
        lambda: gevent.get_hub().loop.stat("/"),
        lambda: gevent.get_hub().loop.async_(),
        lambda: gevent.idle(),
    ],
)
def test_real_io_is_refused(ask):
    with pytest.raises(
        RealIOError, match=r"on virtual time requested .*; a simulation has no real I/O"
    ):
        run_virtual(ask)


def test_callback_from_another_thread_is_refused():
    def main():
        loop = virtual_loop()
        caught = []

        def call():
            try:
                loop.run_callback_threadsafe(print)
            except RealIOError as error:
                caught.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        loop.run_callback_threadsafe(caught.append, 7)
        gevent.sleep(0)
        return caught

    refusal, seven = run_virtual(main)
    assert isinstance(refusal, RealIOError)
    assert seven == 7


@pytest.mark.parametrize("function", [virtual_now, virtual_loop])
def test_virtual_time_requires_run_virtual(function):
    with pytest.raises(KademluaError, match="inside run_virtual"):
        function()


def test_invalid_timers_are_refused():
    loop = VirtualLoop()
    with pytest.raises(ValueError, match="repeat"):
        loop.timer(1, -1)
    with pytest.raises(TypeError, match="callable"):
        loop.timer(1).start(7)


# Start and end of a run.


def test_previous_hub_is_restored_and_runs():
    hub = gevent.get_hub()
    ticking = []
    ticker = gevent.spawn(lambda: [(gevent.sleep(0.001), ticking.append(1)) for _ in range(50)])
    gevent.sleep(0.002)
    before = len(ticking)
    run_virtual(lambda: gevent.sleep(1_000))
    assert gevent.get_hub() is hub
    assert len(ticking) == before
    ticker.join()
    assert len(ticking) == 50


def test_runs_can_be_nested_and_parallel_in_threads():
    def count(results):
        def main():
            for _ in range(200):
                gevent.sleep(0.5)
            return virtual_now(), run_virtual(lambda: (gevent.sleep(3), virtual_now())[1])

        results.append(run_virtual(main))

    assert not monkey.is_module_patched("threading")
    results = []
    threads = [threading.Thread(target=count, args=(results,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    count(results)
    for thread in threads:
        thread.join()
    assert results == [(100, 3)] * 4


def test_exception_of_main_propagates_and_greenlets_are_killed():
    ended = []

    def stay(seconds):
        try:
            gevent.sleep(seconds)
        finally:
            ended.append(virtual_now())

    def main():
        gevent.spawn(stay, 1e9)
        gevent.spawn(stay, 5)
        gevent.spawn_later(7, print)
        gevent.sleep(2)
        raise KeyError("mine")

    hub = gevent.get_hub()
    with pytest.raises(KeyError, match="mine"):
        run_virtual(main)
    assert ended == [2, 2]
    assert gevent.get_hub() is hub


def test_greenlet_that_survives_being_killed_is_logged(caplog):
    def stay():
        while virtual_now() < 1e6:
            try:
                gevent.sleep(10)
            except gevent.GreenletExit:
                pass

    def main():
        gevent.spawn(stay)
        gevent.sleep(1)

    run_virtual(main)
    assert "1 greenlets did not end when killed" in caplog.text


def test_deadlock_lists_the_waiting_greenlets_and_their_places():
    def reader(queue):
        queue.get()  # blocks

    def main():
        gevent.sleep(12.5)
        for _ in range(3):
            gevent.spawn(reader, Queue())
        AsyncResult().get()  # never set

    with pytest.raises(Deadlock) as caught:
        run_virtual(main)
    text = str(caught.value)
    assert "no event is left at 12.5 s of virtual time" in text
    main_line, readers_line = text.splitlines()[1:]
    assert main_line.startswith("  the main function: " + __file__)
    assert main_line.endswith(": AsyncResult().get()  # never set")
    assert readers_line.startswith("  3 greenlets: " + __file__)
    assert ": queue.get()  # blocks (spawned for " in readers_line


def test_errors_in_greenlets_and_callbacks_are_printed_and_the_run_continues(capfd):
    def fail():
        raise ValueError("a defect")

    def main():
        gevent.spawn(fail)
        virtual_loop().schedule(1, fail)
        virtual_loop().schedule(1, fail)
        virtual_loop().run_callback(fail)
        gevent.sleep(2)
        return virtual_now()

    assert run_virtual(main) == 2
    assert capfd.readouterr().err.count("ValueError: a defect") == 4


@pytest.mark.parametrize("where", ["callback", "greenlet", "loop"])
def test_interrupt_ends_the_run(where, capfd, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    def main():
        loop = virtual_loop()
        if where == "callback":
            loop.schedule(1, interrupt)
        elif where == "greenlet":
            gevent.spawn(interrupt)
        else:
            monkeypatch.setattr(event_queue, "heappop", interrupt)
        gevent.spawn(gevent.sleep, 5)
        gevent.sleep(9)

    hub = gevent.get_hub()
    with pytest.raises(KeyboardInterrupt):
        run_virtual(main)
    assert gevent.get_hub() is hub
    gevent.sleep(0.001)


def test_finished_run_is_freed():
    def main():
        gevent.joinall([gevent.spawn(gevent.sleep, 1) for _ in range(10)])
        gevent.spawn(gevent.sleep, 100)
        gevent.sleep(2)
        return weakref.ref(virtual_loop()), weakref.ref(gevent.get_hub())

    loop, hub = run_virtual(main)
    gc.collect()
    assert loop() is None
    assert hub() is None


def test_node_on_udp_does_not_import_the_simulation():
    code = "import sys, kademlua.cli; print([m for m in sys.modules if 'kademlua.sim' in m])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
