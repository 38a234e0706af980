"""Heartbeat: beats at intervals, and pauses that it notices."""

from __future__ import annotations

import gevent
import pytest

from kademlua.runtime.clocks import PAUSE_LATENESS
from kademlua.runtime.heartbeat import Heartbeat
from kademlua.simulation.clock.loop import virtual_now
from tests.support.world import World


class Recorder:
    """A heartbeat of ten seconds, and when it called."""

    def __init__(self) -> None:
        self.slept = 0.0
        self.beats: list[float] = []
        self.pauses: list[float] = []
        self.heartbeat = Heartbeat(self.clock, lambda: 10.0, self._on_beat, self.pauses.append)

    def clock(self) -> float:
        return virtual_now() + self.slept

    def _on_beat(self) -> None:
        self.beats.append(virtual_now())


def test_beats_at_intervals_until_it_is_stopped(world: World) -> None:
    recorder = Recorder()
    recorder.heartbeat.start()
    gevent.sleep(35)
    recorder.heartbeat.stop()
    recorder.heartbeat.start()
    gevent.sleep(100)
    assert recorder.beats == [10, 20, 30]
    assert recorder.pauses == []


def test_failing_beat_is_followed_by_others(world: World) -> None:
    times: list[float] = []

    def fail() -> None:
        times.append(virtual_now())
        raise RuntimeError("a defect")

    heartbeat = Heartbeat(virtual_now, lambda: 10.0, fail, lambda _: None)
    heartbeat.start()
    gevent.sleep(35)
    heartbeat.stop()
    assert times == [10, 20, 30]


@pytest.mark.parametrize("seconds", [60.0, 86_400.0])
def test_timer_notices_a_pause(world: World, seconds: float) -> None:
    recorder = Recorder()
    recorder.heartbeat.start()
    gevent.sleep(5)
    recorder.slept = seconds
    gevent.sleep(20)
    assert recorder.pauses == [pytest.approx(seconds)]
    assert recorder.beats == [20]
    recorder.heartbeat.stop()


def test_caller_notices_a_pause_before_the_timer(world: World) -> None:
    recorder = Recorder()
    recorder.heartbeat.start()
    recorder.slept = 10 + PAUSE_LATENESS
    recorder.heartbeat.notice_pause(recorder.clock())
    assert recorder.pauses == []
    recorder.slept += 1
    recorder.heartbeat.notice_pause(recorder.clock())
    recorder.heartbeat.notice_pause(recorder.clock())
    assert recorder.pauses == [pytest.approx(11)]
    recorder.heartbeat.stop()
