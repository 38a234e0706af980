"""Benchmark of the page with a swarm: first paint, drawn nodes, and frames per second.

    python -m tests.http.page_figures [100 1000]

Headless Chromium draws on the processor, which it shares with the swarm.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

import gevent

from kademlua.http.service import HttpService
from kademlua.swarm.control_node import control_node
from kademlua.swarm.launcher import Swarm
from kademlua.swarm.plan import Plan
from kademlua.swarm.resource_limits import cpu_count, raise_open_file_limit
from tests.http.browser import Browser
from tests.swarm.conftest import free_ports

_ROUNDS = 7
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_DRAWN = "performance.getEntriesByName('nodes-drawn')[0]?.startTime"
_FRAMES = """(() => {
  window.frames = 0;
  const start = performance.now();
  const count = () => {
    window.frames += 1;
    window.perSecond = window.frames / (performance.now() - start) * 1000;
    requestAnimationFrame(count);
  };
  count();
})()"""


def measure(count: int, directory: Path) -> None:
    """Print the figures of a swarm."""
    first = free_ports(count + 2)
    plan = Plan(
        node_count=count,
        worker_count=cpu_count(),
        first_port=first + 2,
        bootstrap=("127.0.0.1", first),
    )
    raise_open_file_limit(plan)
    with ExitStack() as exit_stack:
        node = exit_stack.enter_context(control_node(plan, directory))
        swarm = Swarm(plan, directory)
        swarm.event_hub.set_control_node(node)
        service = HttpService(
            node, ("127.0.0.1", 0), "a-token-for-figures", event_hub=swarm.event_hub
        )
        service.start()
        exit_stack.callback(service.close)
        exit_stack.enter_context(swarm)
        swarm.wait_joined()
        browser = Browser()
        exit_stack.callback(browser.close)
        paints, drawn = [], []
        url = f"http://127.0.0.1:{service.local_endpoint[1]}/"
        for _ in range(_ROUNDS):
            browser.show(url)
            drawn.append(browser.until(_DRAWN))
            paints.append(browser.until(_PAINT))
        browser.js(_FRAMES)
        gevent.sleep(5)
        frames = browser.js("window.perSecond")
    print(
        f"{count:,} nodes: first paint {statistics.median(paints):.0f} ms (at most"
        f" {max(paints):.0f}), nodes drawn {statistics.median(drawn):.0f} ms (at most"
        f" {max(drawn):.0f}), {frames:.0f} frames per second"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", type=int, nargs="*", default=[100, 1_000])
    for count in parser.parse_args().counts:
        with tempfile.TemporaryDirectory() as directory:
            measure(count, Path(directory))


if __name__ == "__main__":
    main()
