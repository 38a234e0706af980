"""Virtual time: gevent's primitives do on it what they do on the real loop."""

import gc
import math
import subprocess
import sys
import threading
import time
import weakref

import gevent
import pytest
from gevent import Greenlet, Timeout, monkey
from gevent._interfaces import ICallback, ILoop
from gevent.event import AsyncResult, Event
from gevent.lock import BoundedSemaphore, RLock, Semaphore
from gevent.pool import Group, Pool
from gevent.queue import Channel, Empty, Full, PriorityQueue, Queue
from hypothesis import given, settings
from hypothesis import strategies as st
from zope.interface import classImplements
from zope.interface.verify import verifyObject

from kademlua.core.errors import KademluaError
from kademlua.simulation.clock.loop import (
    Deadlock,
    RealIOError,
    VirtualLoop,
    run_virtual,
    virtual_loop,
    virtual_now,
)
from kademlua.simulation.clock.watchers import Callback

UNIT = 0.03
"""Seconds that one step of a program below takes."""


# Programs to run on both loops; each notes what it sees through note(…).


def spawning(note):
    def work(name):
        note(name, "begins")
        gevent.sleep(0)
        note(name, "goes on")
        gevent.sleep(0)
        note(name, "ends")

    gevent.joinall([gevent.spawn(work, name) for name in "abc"])
    note("all joined")


def sleeping(note):
    def work(name, steps):
        gevent.sleep(steps * UNIT)
        note(name)

    greenlets = [gevent.spawn(work, steps, steps) for steps in (3, 1, 4, 2)]
    greenlets.append(gevent.spawn_later(2.5 * UNIT, work, "later", 2))
    gevent.joinall(greenlets)
    note("all joined")


def events(note):
    event = Event()

    def wait(name, timeout=None):
        note(name, event.wait(timeout))

    greenlets = [gevent.spawn(wait, name) for name in "abc"]
    greenlets.append(gevent.spawn(wait, "impatient", UNIT))
    event.rawlink(lambda _: note("linked"))
    gevent.sleep(2 * UNIT)
    event.set()
    note("set")
    gevent.joinall(greenlets)
    event.clear()
    gevent.spawn_later(UNIT, event.set)
    note(event.wait(3 * UNIT))


def results(note):
    result = AsyncResult()
    with pytest.raises(Timeout):
        result.get(timeout=UNIT)
    note("timed out")
    gevent.spawn_later(UNIT, result.set, 5)
    readers = [gevent.spawn(result.get) for _ in range(3)]
    note(result.get(timeout=5 * UNIT))
    note([reader.get() for reader in readers])
    failed = AsyncResult()
    gevent.spawn(failed.set_exception, KeyError("no"))
    with pytest.raises(KeyError):
        failed.get()
    note(failed.ready(), failed.successful())


def timeouts(note):
    with Timeout(UNIT, False):
        gevent.sleep(5 * UNIT)
    note("first")
    with pytest.raises(Timeout) as caught, Timeout(4 * UNIT), Timeout(2 * UNIT) as inner:
        gevent.sleep(9 * UNIT)
    note("second", caught.value is inner)
    with Timeout(UNIT) as timeout:
        note(timeout.pending)
    note(timeout.pending)
    gevent.sleep(2 * UNIT)
    note("nothing came")
    note(gevent.with_timeout(UNIT, gevent.sleep, 2 * UNIT, timeout_value="in vain"))


def queues(note):
    queue = Queue(maxsize=2)

    def produce():
        for number in range(5):
            queue.put(number)
            note("put", number)

    def consume(name):
        for _ in range(2):
            note(name, queue.get())
            gevent.sleep(UNIT)

    gevent.joinall([gevent.spawn(consume, "x"), gevent.spawn(produce), gevent.spawn(consume, "y")])
    note(queue.get(), queue.empty())
    with pytest.raises(Empty):
        queue.get(timeout=UNIT)
    note("empty")
    queue.put(1)
    queue.put(2)
    with pytest.raises(Full):
        queue.put(3, timeout=UNIT)
    note("full")
    by_rank = PriorityQueue()
    for number in (3, 1, 2):
        by_rank.put(number)
    note([by_rank.get() for _ in range(3)])


def channels(note):
    channel = Channel()

    def send():
        for number in range(3):
            channel.put(number)
            note("sent", number)

    sender = gevent.spawn(send)
    for _ in range(3):
        gevent.sleep(UNIT)
        note("got", channel.get())
    sender.join()


def pools(note):
    def work(number):
        note("begins", number)
        gevent.sleep((number % 3 + 1) * UNIT)
        return number

    note(Pool(2).map(work, range(4)))
    note(list(Pool(3).imap_unordered(work, [2, 0, 1])))
    group = Group()
    for number in range(3):
        group.apply_async(work, (number,), callback=lambda number: note("done", number))
    group.join()


def locks(note):
    semaphore = Semaphore(2)
    lock = RLock()

    def work(name):
        with semaphore:
            note(name, "in")
            gevent.sleep(UNIT)
        with lock, lock:
            note(name, "alone")
            gevent.sleep(0)

    greenlets = [gevent.spawn(work, name) for name in "abcd"]
    gevent.sleep(0)
    note(semaphore.acquire(timeout=UNIT / 2))
    gevent.joinall(greenlets)
    bounded = BoundedSemaphore(1)
    with pytest.raises(ValueError, match="released"):
        bounded.release()


def waiting(note):
    greenlets = [gevent.spawn(gevent.sleep, steps * UNIT) for steps in (3, 1, 2)]
    note(greenlets.index(gevent.wait(greenlets, count=1)[0]))
    note(len(gevent.joinall(greenlets, timeout=1.5 * UNIT)))
    note([greenlets.index(each) for each in gevent.iwait(greenlets)])
    note(gevent.wait([Event()], timeout=UNIT))


def killing(note):
    def work(name):
        try:
            gevent.sleep(99)
        except gevent.GreenletExit:
            note(name, "killed")
            gevent.sleep(UNIT)
        finally:
            note(name, "over")

    greenlets = [gevent.spawn(work, name) for name in "abc"]
    never = gevent.spawn(work, "never begun")
    never.kill()
    gevent.sleep(UNIT)
    greenlets[0].kill()
    note("first is dead")
    gevent.killall(greenlets[1:], block=False)
    note("not yet")
    gevent.joinall(greenlets)
    note([each.dead for each in greenlets])


def links(note):
    def fail():
        raise ValueError("meant to")

    failing = Greenlet(fail)
    failing.link_exception(lambda each: note("failed", type(each.exception)))
    failing.link_value(lambda _: note("never"))
    fine = Greenlet(lambda: 7)
    fine.link_value(lambda each: note("fine", each.value))
    failing.start()
    fine.start_later(UNIT)
    gevent.joinall([failing, fine])
    with pytest.raises(ValueError, match="meant to"):
        failing.get()


def loops_turn(note):
    """Timers of one time, what they cause, callbacks that are stopped, and repeats."""
    loop = gevent.get_hub().loop
    gevent.sleep(UNIT)
    kept = []

    def timer(name, after, priority=None, then=lambda: None):
        watcher = loop.timer(after, priority=priority)
        kept.append(watcher)
        watcher.start(lambda: (note(name), then()), update=False)
        return watcher

    def first():
        loop.run_callback(note, "a callback of the first")
        timer("a timer of the first", 0)
        stopped.stop()
        note(last.active, last.pending, stopped.active, stopped.pending, stopped.callback)

    last = timer("last", UNIT, -1)
    stopped = timer("stopped", UNIT, -2)
    timer("middle", UNIT)
    timer("first", UNIT, 1, first)
    gevent.sleep(3 * UNIT)
    note(last.active, last.pending, last.callback)

    callbacks = [loop.run_callback(note, number) for number in range(3)]
    callbacks[1].stop()
    note([(bool(each), each.pending) for each in callbacks])
    gevent.sleep(0)
    note([(bool(each), each.pending) for each in callbacks])

    repeated = loop.timer(UNIT, 2 * UNIT)
    repeated.start(note, "repeated")
    gevent.sleep(4 * UNIT)
    repeated.again(note, "again")
    gevent.sleep(UNIT)
    repeated.close()
    gevent.sleep(2 * UNIT)
    note("idle next")
    gevent.spawn(note, "before idle")
    gevent.idle()
    note("idle")


def spinning(note):
    is_set = []
    gevent.spawn_later(UNIT, is_set.append, True)
    while not is_set:
        gevent.sleep(0)
    note("saw it")


PROGRAMS = [
    spawning, sleeping, events, results, timeouts, queues, channels, pools, locks, waiting,
    killing, links, loops_turn, spinning,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_gevent_does_on_virtual_time_what_it_does_on_the_real_loop(program, capfd):
    def run(clock):
        seen = []
        gevent.get_hub().loop.update_now()
        began = clock()
        program(lambda *what: seen.append((clock() - began, what)))
        return seen

    real = run(time.perf_counter)
    virtual = run_virtual(lambda: run(virtual_now))
    assert [what for _, what in virtual] == [what for _, what in real]
    for (virtual_time, what), (real_time, _) in zip(virtual, real, strict=True):
        # The real loop's timers are a millisecond early at times, and late as machines are.
        assert virtual_time - 0.003 < real_time < virtual_time + 1, what
        steps = virtual_time / UNIT
        assert math.isclose(steps * 2, round(steps * 2), abs_tol=1e-6), what


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
def test_sleepers_wake_exactly_when_they_should_and_in_order(programs):
    woken = []

    def sleep(who, naps):
        slept = 0.0
        for nap in naps:
            gevent.sleep(nap)
            slept += nap
            assert virtual_now() == slept
            woken.append(slept)

    def main():
        greenlets = [gevent.spawn(sleep, who, naps) for who, naps in enumerate(programs)]
        gevent.joinall(greenlets, raise_error=True)

    run_virtual(main)
    assert woken == sorted(woken)
    assert len(woken) == sum(map(len, programs))


def test_scheduled_functions_run_in_the_hub_in_order_of_time_then_of_calling():
    def main():
        seen = []
        loop = virtual_loop()
        for number, delay in enumerate([2, 1, 1, 0, 2]):
            loop.schedule(delay, lambda number: seen.append((number, virtual_now())), number)
        gevent.sleep(3)
        return seen

    assert run_virtual(main) == [(3, 0), (1, 1), (2, 1), (0, 2), (4, 2)]


def test_timers_that_are_stopped_leave_nothing_behind():
    def main():
        loop = virtual_loop()
        for _ in range(20_000):
            with Timeout(1_000):
                pass
            with Timeout(1_000, ref=False):
                pass
        gevent.sleep(1)
        assert len(loop._heap) < 3_000
        gevent.sleep(2_000)
        assert loop.activecnt == 0
        return virtual_now()

    assert run_virtual(main) == 2_001


def test_a_timer_without_ref_does_not_keep_the_loop_alive():
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


def test_the_loop_has_gevents_interface():
    for interface, implementation, made in [
        (ILoop, VirtualLoop, VirtualLoop()),
        (ICallback, Callback, Callback(print, ())),
    ]:
        classImplements(implementation, interface)
        assert verifyObject(interface, made)


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
    ],
)
def test_the_real_world_is_refused(ask):
    with pytest.raises(
        RealIOError, match=r"on virtual time requested .*; a simulation has no real I/O"
    ):
        run_virtual(ask)


def test_another_threads_callback_is_refused():
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
def test_there_is_no_virtual_time_outside(function):
    with pytest.raises(KademluaError, match="inside of run_virtual"):
        function()


def test_bad_watchers_are_refused():
    loop = VirtualLoop()
    with pytest.raises(ValueError, match="repeat"):
        loop.timer(1, -1)
    for watcher in (loop.timer(1), loop.idle()):
        with pytest.raises(TypeError, match="callable"):
            watcher.start(7)


# Beginning and end.


def test_the_former_hub_is_back_and_runs():
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


def test_it_runs_inside_of_itself_and_in_threads_beside_each_other():
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


def test_what_main_raises_comes_out_and_greenlets_are_killed():
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


def test_a_greenlet_that_will_not_end_is_reported(caplog):
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


def test_a_deadlock_says_who_waits_and_where():
    def reader(queue):
        queue.get()  # nobody puts

    def main():
        gevent.sleep(12.5)
        for _ in range(3):
            gevent.spawn(reader, Queue())
        AsyncResult().get()  # nobody sets

    with pytest.raises(Deadlock) as caught:
        run_virtual(main)
    text = str(caught.value)
    assert "no event is left at 12.5 s of virtual time" in text
    main_line, readers_line = text.splitlines()[1:]
    assert main_line.startswith("  the main function: " + __file__)
    assert main_line.endswith(": AsyncResult().get()  # nobody sets")
    assert readers_line.startswith("  3 greenlets: " + __file__)
    assert ": queue.get()  # nobody puts (spawned for " in readers_line


def test_errors_in_greenlets_and_callbacks_are_printed_and_all_goes_on(capfd):
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
def test_an_interrupt_ends_it(where, capfd):
    def interrupt(*_):
        raise KeyboardInterrupt

    def main():
        loop = virtual_loop()
        if where == "callback":
            loop.schedule(1, interrupt)
        elif where == "greenlet":
            gevent.spawn(interrupt)
        else:
            loop._detect_livelock = interrupt
        gevent.spawn(gevent.sleep, 5)
        gevent.sleep(9)

    hub = gevent.get_hub()
    with pytest.raises(KeyboardInterrupt):
        run_virtual(main)
    assert gevent.get_hub() is hub
    gevent.sleep(0.001)


def test_nothing_of_a_run_stays_in_memory():
    def main():
        gevent.joinall([gevent.spawn(gevent.sleep, 1) for _ in range(10)])
        gevent.spawn(gevent.sleep, 100)
        gevent.sleep(2)
        return weakref.ref(virtual_loop()), weakref.ref(gevent.get_hub())

    loop, hub = run_virtual(main)
    gc.collect()
    assert loop() is None
    assert hub() is None


def test_a_node_on_udp_imports_nothing_of_it():
    code = "import sys, kademlua.cli; print([m for m in sys.modules if 'kademlua.sim' in m])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
