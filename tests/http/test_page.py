"""The page, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kademlua import Node
from tests.http.browser import CHROMIUM, DRIVER, Browser, Keys
from tests.http.conftest import TOKEN, HttpClient, ShowSwarm

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="chromium or chromedriver is not installed"
)

DOTS = """(() => {
  const canvas = document.getElementById("ring"), pen = canvas.getContext("2d");
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  const style = getComputedStyle(canvas), found = {};
  for (const name of ["self", "fresh", "target"]) {
    const digits = style.getPropertyValue(`--${name}`).match(/\\w\\w/g);
    const colour = [...digits.map((each) => parseInt(each, 16)), 255];
    found[name] = 0;
    for (let at = 0; at < data.length; at += 4)
      found[name] += colour.every((part, index) => data[at + index] === part);
  }
  return found;
})()"""
"""The numbers of pixels of the ring in the colours of this node, of contacts and of targets."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def network(
    make_network: Callable[..., list[Node]], serve: Callable[..., HttpClient]
) -> HttpClient:
    nodes = make_network(8)
    client = serve(nodes[3])
    client.node = nodes[3]  # type: ignore[attr-defined]
    return client


def url_of(client: HttpClient) -> str:
    return f"http://127.0.0.1:{client.port}/"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1200])
def test_page_shows_a_node(browser: Browser, network: HttpClient, width: int, dark: bool) -> None:
    browser.show(url_of(network), width=width, dark=dark)
    browser.until('document.getElementById("health-text").textContent === "healthy"')
    assert network.node.id.hex() in browser.text("#who")  # type: ignore[attr-defined]
    browser.until('document.querySelectorAll("#buckets tbody tr").length > 0')
    dots = browser.until(f"(({{ self, fresh }}) => self > 50 && fresh > 70)({DOTS})")
    assert dots
    assert browser.js("document.documentElement.scrollWidth") <= width
    lightness = browser.js(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every((x) => x > 128)"
    )
    assert lightness is not dark
    origins = browser.js(
        'performance.getEntriesByType("resource").map((each) => new URL(each.name).origin)'
    )
    assert set(origins) == {url_of(network)[:-1]}
    assert browser.complaints() == []


def test_values_are_added_and_found_with_the_keyboard_alone(
    browser: Browser, network: HttpClient
) -> None:
    browser.show(url_of(network))
    browser.tab_to("#key")
    browser.press("greeting", Keys.TAB, "hello", Keys.TAB, TOKEN, Keys.TAB, Keys.TAB, Keys.ENTER)
    browser.until('document.getElementById("answer").textContent.startsWith("stored on 8")')
    browser.tab_to("#key")  # Enter in a field presses the first button
    browser.press(Keys.ENTER)
    browser.until('document.getElementById("answer").textContent.startsWith("hello\\n")')
    browser.until('document.querySelectorAll("#lookups li").length >= 1')
    assert "store" in browser.text("#lookups")
    browser.tab_to("#lookups button")  # focus highlights the lookup on the ring
    assert browser.until(f"({DOTS}).target")
    assert browser.complaints() == []


def test_adding_needs_the_token(browser: Browser, network: HttpClient) -> None:
    browser.show(url_of(network))
    browser.js("sessionStorage.clear()")
    browser.js('document.getElementById("token").value = ""')
    browser.tab_to("#key")
    browser.press("greeting")
    browser.click("button[value=add]")
    browser.until('document.getElementById("answer").className === "wrong"')
    assert "http-token" in browser.text("#answer")
    assert all("401" in each for each in browser.complaints())


def test_page_shows_a_swarm_and_kills_and_starts_nodes(
    browser: Browser, show_swarm: ShowSwarm
) -> None:
    with show_swarm(10) as client:
        url = url_of(client)
        browser.show(url)
        figure = "document.querySelector('[data-name={}]').textContent === '{}'".format
        there = "document.querySelector('[data-name=nodes]') && "
        browser.until(there + figure("nodes", 11))
        browser.until('document.getElementById("health-text").textContent === "healthy"')
        browser.until(f"(({{ self, fresh }}) => self > 50 && fresh > 100)({DOTS})")
        browser.until('document.querySelectorAll("#lookups li").length > 1')
        browser.until(f"({DOTS}).target")
        browser.js(f'document.getElementById("token").value = "{TOKEN}"')
        browser.js('document.getElementById("token").dispatchEvent(new Event("change"))')
        browser.click("#stop-node")
        browser.until(figure("nodes", 10))
        browser.until(figure("died", 1))
        browser.click("#start-node")
        browser.until(figure("nodes", 11))
        browser.until(figure("came", 1))
        assert browser.complaints() == []
        browser.show("about:blank")
