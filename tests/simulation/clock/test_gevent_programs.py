"""gevent's primitives behave on virtual time as on the real loop."""

import math
import time

import gevent
import pytest
from gevent import Greenlet, Timeout
from gevent.event import AsyncResult, Event
from gevent.lock import BoundedSemaphore, RLock, Semaphore
from gevent.pool import Group, Pool
from gevent.queue import Channel, Empty, Full, PriorityQueue, Queue

from kademlua.simulation.clock.loop import (
    run_virtual,
    virtual_now,
)

UNIT = 0.03
"""Seconds per step of the programs below."""


# Programs that run on both loops; each records its observations with note(…).


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
    note("no timeout")
    note(gevent.with_timeout(UNIT, gevent.sleep, 2 * UNIT, timeout_value="timed out"))


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
    """Timers of equal times, their consequences, stopped callbacks and repeats."""
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
def test_gevent_programs_behave_alike_on_virtual_time_and_on_the_real_loop(program, capfd):
    def run(clock):
        seen = []
        gevent.get_hub().loop.update_now()
        began = clock()
        program(lambda *what: seen.append((clock() - began, what)))
        return seen

    virtual = run_virtual(lambda: run(virtual_now))
    for _ in range(5):  # on a busy machine the real loop is late, and may change the order
        real = run(time.perf_counter)
        if [what for _, what in real] == [what for _, what in virtual]:
            break
    assert [what for _, what in virtual] == [what for _, what in real]
    for (virtual_time, what), (real_time, _) in zip(virtual, real, strict=True):
        # Timers of the real loop may fire a millisecond early, and late on a busy machine.
        assert virtual_time - 0.003 < real_time < virtual_time + 1, what
        steps = virtual_time / UNIT
        assert math.isclose(steps * 2, round(steps * 2), abs_tol=1e-6), what
