"""A network of libtorrent's DHT: one session per node, with only the DHT enabled."""

from __future__ import annotations

import contextlib
import os
import random
import select
import time
from collections.abc import Callable, Sequence
from typing import Any

import libtorrent

from tests.benchmarks.measuring import Job, Kind, Recorder

_HOST = "127.0.0.1"
_MUCH = 100_000_000
"""For limits; libtorrent computes with ten times as much in 32 bits."""
_K = 8
_JOINING_BY = 4
"""Earlier nodes that a node is told of."""
_PATIENCE = 30.0
"""Seconds after which an operation has failed; libtorrent itself gives up before."""
_FILLING = 90.0
"""Seconds that the tables have to fill in."""

_SETTINGS = {
    # Loopback and nobody else.
    "listen_interfaces": f"{_HOST}:0",
    "dht_bootstrap_nodes": "",
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_lsd": False,
    "enable_ip_notifier": False,
    "enable_dht": True,
    # Limits that are meant for the internet: no brake shall be measured.
    "dht_upload_rate_limit": _MUCH,
    "dht_block_ratelimit": _MUCH,
    "dht_max_dht_items": 10_000_000,
    "dht_max_peers": 10_000_000,
    # All nodes have one address, which would keep them out of tables and lookups.
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_enforce_node_id": False,
    "dht_prefer_verified_node_ids": False,
    "dht_ignore_dark_internet": False,
    # Its defaults, of which the figures depend.
    "dht_extended_routing_table": True,
    "dht_aggressive_lookups": True,
    "dht_search_branching": 5,
    "alert_mask": libtorrent.alert.category_t.dht_notification,
}


class LibtorrentNetwork:
    """Sessions of one process; each wakes the one poll here through a pipe of its own."""

    def __init__(self) -> None:
        self._sessions: list[Any] = []
        self._poll = select.epoll()
        self._by_pipe: dict[int, int] = {}

    def bring_up(self, count: int) -> None:
        """Start sessions and return when each has k nodes, or all there are, in its table."""
        for _ in range(count):
            self._add_session()
        ports = [session.listen_port() for session in self._sessions]
        for index, session in enumerate(self._sessions):
            known = ports[:index]
            for port in random.sample(known, min(_JOINING_BY, len(known))):
                session.add_dht_node((_HOST, port))
        deadline = time.perf_counter() + _FILLING
        while min(self._table_sizes()) < min(_K, count - 1):
            if time.perf_counter() > deadline:
                raise RuntimeError("libtorrent's tables do not fill")
            self.rest(0.1)
            self._look_up_random_keys()

    def settle(self) -> None:
        """Random lookups by every node until the tables grow no more, so that libtorrent is
        measured as it runs after hours."""
        deadline = time.perf_counter() + _FILLING
        before, unchanged = 0, 0
        while unchanged < 3 and time.perf_counter() < deadline:
            for _ in range(3):
                self._look_up_random_keys()
            self.rest(1)
            size = sum(self._table_sizes())
            unchanged = unchanged + 1 if size <= before * 1.005 else 0
            before = max(before, size)

    def rest(self, seconds: float) -> None:
        """The sessions run in threads of their own."""
        time.sleep(seconds)

    def perform(self, kind: Kind, jobs: Sequence[Job], at_once: int, recorder: Recorder) -> None:
        """Keep so many operations in flight, each of which ends with an alert."""
        if kind == "put":
            begin, wanted = self._begin_put, libtorrent.dht_put_alert
        else:
            begin, wanted = self._begin_get, libtorrent.dht_immutable_item_alert
        queue = recorder.while_there_is_time(jobs)
        in_flight: dict[tuple[int, bytes], tuple[Job, float]] = {}
        job = next(queue, None)
        while job is not None or in_flight:
            while job is not None and len(in_flight) < at_once:
                began = time.perf_counter()
                in_flight[begin(job)] = job, began
                job = next(queue, None)
            for index, alert in self._alerts(1.0):
                if isinstance(alert, wanted):
                    ended = in_flight.pop((index, alert.target.to_bytes()), None)
                    if ended is not None:
                        recorder.ended(ended[1], _is_success(alert, ended[0]))
            for slot in _overdue(in_flight):
                recorder.ended(in_flight.pop(slot)[1], False)

    def stop(self, indexes: Sequence[int]) -> None:
        """Close the nodes' sockets, which is at once; to end the sessions would take long."""
        for index in indexes:
            self._sessions[index].apply_settings({"enable_dht": False, "listen_interfaces": ""})
        while any(self._sessions[index].is_dht_running() for index in indexes):
            time.sleep(0.001)

    def lost(self, jobs: Sequence[Job], survivors: Sequence[int]) -> None:
        """Not to be known: a session does not tell what it holds."""

    def calls(self) -> None:
        """Not to be known."""

    def _add_session(self) -> None:
        session = libtorrent.session(dict(_SETTINGS))
        readable, writable = os.pipe()
        os.set_blocking(readable, False)
        os.set_blocking(writable, False)
        session.set_alert_fd(writable)
        self._poll.register(readable, select.EPOLLIN)
        self._by_pipe[readable] = len(self._sessions)
        self._sessions.append(session)

    def _alerts(self, seconds: float) -> list[tuple[int, Any]]:
        """Alerts with the numbers of their sessions; waits for the first.

        They are to be read at once: a session frees them when it is asked for the next.
        """
        alerts = []
        for readable, _ in self._poll.poll(seconds):
            with contextlib.suppress(BlockingIOError):
                os.read(readable, 65_536)
            index = self._by_pipe[readable]
            alerts += [(index, alert) for alert in self._sessions[index].pop_alerts()]
        return alerts

    def _from_each(self, kind: type, read: Callable[[Any], int]) -> list[int]:
        """What ``read`` finds in one alert of a kind from each session that posts it in time."""
        found: dict[int, int] = {}
        deadline = time.perf_counter() + 10
        while len(found) < len(self._sessions) and time.perf_counter() < deadline:
            for index, alert in self._alerts(0.1):
                if isinstance(alert, kind):
                    found[index] = read(alert)
        return list(found.values())

    def _table_sizes(self) -> list[int]:
        for session in self._sessions:
            session.post_session_stats()
        return self._from_each(
            libtorrent.session_stats_alert, lambda alert: int(alert.values["dht.dht_nodes"])
        )

    def _look_up_random_keys(self) -> None:
        for session in self._sessions:
            session.dht_get_immutable_item(libtorrent.sha1_hash(os.urandom(20)))
        self._from_each(libtorrent.dht_immutable_item_alert, lambda _: 0)

    def _begin_put(self, job: Job) -> tuple[int, bytes]:
        key = self._sessions[job.writer].dht_put_immutable_item(job.value)
        return job.writer, key.to_bytes()

    def _begin_get(self, job: Job) -> tuple[int, bytes]:
        self._sessions[job.reader].dht_get_immutable_item(libtorrent.sha1_hash(job.key))
        return job.reader, job.key


def _is_success(alert: Any, job: Job) -> bool:
    if isinstance(alert, libtorrent.dht_put_alert):
        return bool(alert.num_success > 0)
    found = alert.item
    if isinstance(found, dict):  # before 2.1
        found = found["value"]
    return bool(found == job.value)


def _overdue(in_flight: dict[tuple[int, bytes], tuple[Job, float]]) -> list[tuple[int, bytes]]:
    """The operations that have taken too long; the first of the dict is the oldest."""
    limit = time.perf_counter() - _PATIENCE
    oldest = next(iter(in_flight.values()), None)
    if oldest is None or oldest[1] > limit:
        return []
    return [slot for slot, (_, began) in in_flight.items() if began < limit]
