"""The page, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import gevent
import pytest

from kademlua import Node, sha1
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
    client.nodes = nodes  # type: ignore[attr-defined]
    return client


def url_of(client: HttpClient) -> str:
    return f"http://127.0.0.1:{client.port}/"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1200])
def test_page_shows_a_node(browser: Browser, network: HttpClient, width: int, dark: bool) -> None:
    browser.show(url_of(network), width=width, dark=dark)
    browser.until('document.querySelectorAll("#checks li.good").length > 2')
    assert "7 contacts" in browser.text("#checks")
    assert network.node.id.hex() in browser.text("#who")  # type: ignore[attr-defined]
    browser.until('document.querySelectorAll("#buckets tbody tr").length > 0')
    dots = browser.until(f"(({{ self, fresh }}) => self > 50 && fresh > 70)({DOTS})")
    assert dots
    for view in ("values", "nodes", "metrics", "log", "overview"):
        browser.click(f'nav a[href="#{view}"]')
        browser.until(f'!document.getElementById("view-{view}").hidden')
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
    browser.show(f"{url_of(network)}#token={TOKEN}")
    browser.tab_to('nav a[href="#values"]')
    browser.press(Keys.ENTER)
    browser.tab_to("#key")
    browser.press("greeting")
    browser.tab_to("#value")
    browser.press("hello")
    browser.tab_to("button[value=add]")
    browser.press(Keys.ENTER)
    browser.until('document.getElementById("answer").textContent.startsWith("added: stored on 8")')
    browser.tab_to("#key")  # Enter in a field presses the first button
    browser.press(Keys.ENTER)
    browser.until('document.getElementById("answer").textContent.startsWith("1 value from 8")')
    assert "hello" in browser.text("#answer .value")
    assert "greeting" in browser.text("#stored-table")
    browser.tab_to("#answer button")  # the holders on the ring
    browser.press(Keys.ENTER)
    browser.until('document.getElementById("highlight-text").textContent.startsWith("8 nodes")')
    browser.until('document.querySelectorAll("#lookups button span").length >= 4')
    assert "greeting find value" in browser.text("#lookups")
    assert browser.until(f"({DOTS}).target")  # the latest lookup of the user stays
    assert browser.complaints() == []


def test_value_is_removed_only_after_a_confirmation(browser: Browser, network: HttpClient) -> None:
    network.node.add(sha1("greeting"), b"hello")  # type: ignore[attr-defined]
    browser.show(f"{url_of(network)}#token={TOKEN}")
    browser.click('nav a[href="#values"]')
    browser.js('document.getElementById("key").value = "greeting"')
    browser.click("button[value=remove]")
    assert browser.js("document.activeElement.value") == "no"  # Enter removes nothing
    browser.press(Keys.ENTER)
    browser.until('document.getElementById("answer").textContent === "Nothing was removed."')
    browser.click("button[value=remove]")
    browser.tab_to("#confirm-yes")
    browser.press(Keys.ENTER)
    browser.until('document.getElementById("answer").textContent.startsWith("removed from 8")')
    assert browser.complaints() == []


def test_theme_is_chosen_and_remembered(browser: Browser, network: HttpClient) -> None:
    theme = "document.documentElement.dataset.theme"
    browser.show(url_of(network), dark=True)
    assert browser.js(theme) == "dark"
    browser.tab_to("#theme")
    browser.press("l")
    browser.until(f"{theme} === 'light'")
    browser.until(f"(({{ self, fresh }}) => self > 50 && fresh > 70)({DOTS})")  # drawn again
    browser.show(url_of(network), dark=True)
    assert browser.js(theme) == "light"
    browser.tab_to("#theme")
    browser.press("a")
    browser.until(f"{theme} === 'dark'")
    assert browser.complaints() == []


def test_a_lookup_is_pinned_and_stepped_through(browser: Browser, network: HttpClient) -> None:
    browser.show(url_of(network))
    browser.until('document.getElementById("health-text").textContent !== "connecting …"')
    network.node.find_node(sha1("x"))  # type: ignore[attr-defined]
    browser.until('document.querySelectorAll("#lookups button span").length > 0')
    browser.tab_to("#lookups button")
    browser.press(Keys.ENTER)
    total = browser.js('document.getElementById("steps").children.length')
    assert total >= 2 * 7  # each of the others is asked, and answers
    browser.press(Keys.ENTER)  # the focus is on Back
    assert browser.text("#step-text") == f"step {total - 1} of {total}"
    assert browser.js('document.querySelectorAll("#steps .later").length') == 1
    browser.press(Keys.ESCAPE)
    assert browser.js('document.getElementById("pinned").hidden')


def test_a_node_is_selected_with_the_arrow_keys(browser: Browser, network: HttpClient) -> None:
    browser.show(url_of(network))
    browser.until(f"({DOTS}).fresh > 70")
    browser.tab_to("#ring")
    browser.press(Keys.ARROW_RIGHT)
    assert network.node.id.hex() in browser.text("#details")  # type: ignore[attr-defined]
    browser.press(Keys.ARROW_RIGHT)
    assert "seen recently" in browser.text("#details")
    browser.press(Keys.ESCAPE)
    assert "Click a node" in browser.text("#details")


def test_token_comes_from_the_fragment_and_leaves_the_url(
    browser: Browser, network: HttpClient
) -> None:
    browser.show(f"{url_of(network)}#token={TOKEN}")
    browser.until('document.getElementById("access-state").textContent === "full access"')
    assert browser.js("location.href") == url_of(network)
    browser.js('location.hash = "#token=nonsense"')  # the URL of another node, in the same tab
    browser.until('document.getElementById("access-state").textContent === "wrong token"')


@pytest.mark.parametrize(
    ("token", "state", "message"),
    [("", "no token", "This needs the token"), ("nonsense", "wrong token", "The token is wrong")],
)
def test_missing_and_wrong_tokens_are_told_apart(
    browser: Browser, network: HttpClient, token: str, state: str, message: str
) -> None:
    browser.show(url_of(network))
    browser.js(f'sessionStorage.setItem("kademlua-token", "{token}")')
    browser.click('nav a[href="#values"]')
    browser.js('document.getElementById("key").value = "greeting"')
    browser.js('document.getElementById("value").value = "hello"')
    browser.click("button[value=add]")
    browser.until('document.getElementById("answer").className === "message bad"')
    assert browser.text("#answer").startswith(message)
    assert browser.text("#access-state") == state
    assert browser.js('document.getElementById("access").open')
    assert all("401" in each for each in browser.complaints())
    browser.js("sessionStorage.clear()")


def test_token_is_entered_where_reads_need_it(
    browser: Browser, make_network: Callable[..., list[Node]], serve: Callable[..., HttpClient]
) -> None:
    client = serve(make_network(2)[0], host="0.0.0.0", token_file=Path("/run/http-token"))
    browser.show(url_of(client))
    browser.js("sessionStorage.clear()")
    browser.until('document.getElementById("health-text").textContent === "the token is needed"')
    browser.until('document.getElementById("access").open')
    assert "the file http-token" in browser.text("#access-message")
    browser.js('document.getElementById("token").focus()')
    browser.press(TOKEN, Keys.ENTER)
    browser.until('document.getElementById("access-state").textContent === "full access"')
    browser.until('document.getElementById("checks").textContent.includes("1 contact")')
    assert not browser.js('document.getElementById("access").open')
    browser.js("sessionStorage.clear()")
    assert all("401" in each for each in browser.complaints())


@pytest.mark.parametrize(
    ("key", "value", "ttl", "message"),
    [
        ("", "x", "", "Enter a key"),
        ("k", "", "", "Enter a value"),
        ("k", "x", "soon", "TTL: a number with s, m, h or d"),
        ("k", "x", "90d", "TTL: 1 s to 30 d."),
        ("k", "x" * 16_000, "", "The value has 16,000 bytes; at most 14,994 fit."),
    ],
)
def test_fields_are_validated(
    browser: Browser, network: HttpClient, key: str, value: str, ttl: str, message: str
) -> None:
    browser.show(f"{url_of(network)}#token={TOKEN}")
    browser.until('document.getElementById("access-state").textContent === "full access"')
    for field, text in {"key": key, "value": value, "ttl": ttl}.items():
        browser.js(f'document.getElementById("{field}").value = "{text}"')
    browser.click("button[value=add]")
    browser.until('document.getElementById("answer").className === "message bad"')
    assert browser.text("#answer").startswith(message)
    assert not len(network.node.datastore)  # type: ignore[attr-defined]


def test_longest_value_and_a_file_are_stored(
    browser: Browser, network: HttpClient, tmp_path: Path
) -> None:
    node: Node = network.node  # type: ignore[attr-defined]
    browser.show(f"{url_of(network)}#token={TOKEN}")
    browser.until('document.getElementById("access-state").textContent === "full access"')
    browser.click('nav a[href="#values"]')
    browser.js('document.getElementById("key").value = "longest"')
    browser.js('document.getElementById("value").value = "x".repeat(14994)')
    browser.click("button[value=add]")
    browser.until('document.getElementById("answer").textContent.startsWith("added: stored on 8")')
    (tmp_path / "picture").write_bytes(b"\xff\x00")
    browser.js('document.getElementById("key").value = "picture"')
    browser.js('document.getElementById("value").value = ""')
    browser.choose_file("#file", tmp_path / "picture")
    browser.click("button[value=publish]")
    browser.until('document.getElementById("answer").textContent.startsWith("published: stored")')
    assert node.find_value(sha1("picture"))[0].values == [b"\xff\x00"]


def test_long_and_binary_values_are_collapsed(browser: Browser, network: HttpClient) -> None:
    node: Node = network.node  # type: ignore[attr-defined]
    node.add(sha1("long"), b"word " * 1_000)
    node.publish(sha1("binary"), b"\xff\x00" * 50)
    browser.show(url_of(network))
    browser.click('nav a[href="#values"]')
    browser.until('document.querySelectorAll("#stored-table details").length === 2')
    assert not browser.js('document.querySelector("#stored-table details").open')
    assert "binary (100 B)" in browser.text("#published-table")
    assert sha1("long").hex()[:8] in browser.text("#stored-table")
    browser.js('document.getElementById("value-search").value = "long"')
    browser.js('document.getElementById("value-search").dispatchEvent(new Event("input"))')
    browser.until('document.querySelectorAll("#stored-table details").length === 1')
    assert "long" in browser.text("#stored-table .mono")  # its hash is recognized
    browser.js('document.getElementById("value-search").value = "nothing like this"')
    browser.js('document.getElementById("value-search").dispatchEvent(new Event("input"))')
    browser.until('document.querySelector("#stored-table .empty button")')
    browser.click("#stored-table .empty button")  # searches the network
    browser.until('document.getElementById("answer").className === "message bad"')
    assert browser.text("#answer") == "The nodes closest to the key have no value."


def test_token_is_entered_on_a_phone(browser: Browser, network: HttpClient) -> None:
    browser.show(url_of(network), width=360)
    browser.js('document.getElementById("health-text").textContent = "needs attention: drops"')
    browser.click("#access summary")
    box = browser.js('document.getElementById("access-form").getBoundingClientRect().toJSON()')
    assert 0 <= box["left"] < box["right"] <= 360


def test_more_values_than_a_page_are_shown(browser: Browser, network: HttpClient) -> None:
    node: Node = network.node  # type: ignore[attr-defined]
    for number in range(60):
        node.add(sha1(str(number)), number)
    browser.show(url_of(network))
    browser.click('nav a[href="#values"]')
    browser.until('document.querySelectorAll("#stored-table tbody tr").length === 50')
    browser.click("#stored-more")
    browser.until('document.querySelectorAll("#stored-table tbody tr").length === 60')
    assert browser.js('document.getElementById("stored-more").hidden')


def test_published_objects_are_listed(browser: Browser, network: HttpClient) -> None:
    node: Node = network.node  # type: ignore[attr-defined]
    key = node.put_object(bytes(100_000), ttl=7_200, publish=True)
    browser.show(f"{url_of(network)}#token={TOKEN}")
    browser.until('document.getElementById("access-state").textContent === "full access"')
    browser.click('nav a[href="#values"]')
    browser.until('document.querySelectorAll("#object-table tbody tr .mono").length === 1')
    assert browser.text("#object-table .mono") == key.hex()
    assert "100.0 kB" in browser.text("#object-table")
    browser.click("#object-table tbody button")
    browser.until('document.querySelector("#object-table .empty")')
    assert node.published_objects() == []


def test_key_is_watched_live_with_the_keyboard_alone(browser: Browser, network: HttpClient) -> None:
    node: Node = network.node  # type: ignore[attr-defined]
    key = sha1("config")
    node.add(key, "<b>one</b>")
    browser.show(url_of(network))  # without a token
    browser.click('nav a[href="#values"]')
    browser.tab_to("#key")
    browser.press("config")
    browser.tab_to("#watch-start")
    browser.press(Keys.ENTER)
    browser.until('document.querySelectorAll("#watch-lines li").length === 1')
    assert browser.text("#watch-lines b") == "added"
    assert browser.text("#watch-lines li .value .mono") == "<b>one</b>"
    assert node.id.hex()[:8] in browser.text("#watch-lines li")
    node.add(key, b"\xff\x00")
    browser.until('document.querySelector("#watch-lines b").textContent === "replaced"')
    assert "binary (2 B)" in browser.text("#watch-lines li")
    node.remove(key)
    browser.until('document.querySelector("#watch-lines b").textContent === "removed"')
    for number in range(120):
        node.add(key, number)
    browser.until('document.querySelector("#watch-lines li .value .mono").textContent === "119"')
    assert browser.js('document.querySelectorAll("#watch-lines li").length') == 100
    browser.tab_to("#watch-stop")
    browser.press(Keys.ENTER)
    assert browser.js("document.activeElement.id") == "watch-start"
    assert browser.text("#watch-state") == "The watch has ended."
    nodes: list[Node] = network.nodes  # type: ignore[attr-defined]
    with gevent.Timeout(30):
        while any(each.services.lease_holder.lease_count for each in nodes):
            node.add(key, b"a write shows the server that the connection is closed")
            gevent.sleep(0.2)
    assert browser.complaints() == []


def test_watch_of_another_key_replaces_the_former_one(
    browser: Browser, network: HttpClient
) -> None:
    node: Node = network.node  # type: ignore[attr-defined]
    browser.show(url_of(network))
    for name in ("first", "second"):
        browser.js(f'document.getElementById("key").value = "{name}"')
        browser.click("#watch-start")
        browser.until('document.getElementById("watch-state").textContent.startsWith("Watching")')
    node.add(sha1("first"), b"of the first")
    node.add(sha1("second"), b"of the second")
    browser.until('document.querySelectorAll("#watch-lines li").length === 1')
    assert browser.text("#watch-title") == "Changes of second"
    assert browser.text("#watch-lines li .value .mono") == "of the second"
    browser.click("#watch-stop")
    browser.js('document.getElementById("key").value = ""')
    browser.click("#watch-start")
    browser.until('document.getElementById("answer").className === "message bad"')
    assert browser.complaints() == []


def test_page_that_was_left_keeps_no_stream(browser: Browser, network: HttpClient) -> None:
    """A browser keeps left pages for the back button, and has six connections per host."""
    for _ in range(10):
        browser.show(url_of(network))
        browser.until('document.getElementById("checks").textContent.includes("joined")')
    assert browser.js("performance.getEntriesByType('navigation')[0].duration") < 15_000


def test_disconnection_is_shown_immediately(
    browser: Browser, make_node: Callable[..., Node], serve: Callable[..., HttpClient]
) -> None:
    client = serve(make_node())
    browser.show(url_of(client))
    browser.until('document.getElementById("checks").textContent.includes("joined")')
    assert "start another one" in browser.text("#checks")  # what to do with one node alone
    client.service.close()
    browser.until('!document.getElementById("banner").hidden')
    assert browser.text("#health-text") == "disconnected"
    browser.show("about:blank")


def test_all_scripts_are_preloaded(network: HttpClient) -> None:
    """Otherwise the browser finds them one after the other."""
    page = network.get("/").body.decode()
    directory = files("kademlua.http") / "page"
    for script in (each.name for each in directory.iterdir() if each.name.endswith(".js")):
        assert f'"page/{script}"' in page


def test_page_shows_a_swarm_and_kills_and_starts_nodes(
    browser: Browser, show_swarm: ShowSwarm
) -> None:
    with show_swarm(10) as client:
        client.node.add(sha1("key"), b"value")  # type: ignore[attr-defined]
        browser.show(f"{url_of(client)}#token={TOKEN}")
        figure = "document.querySelector('[data-name={}]').textContent === '{}'".format
        there = "document.querySelector('[data-name=nodes]') && "
        browser.until(there + figure("nodes", 11))
        browser.until(f"(({{ self, fresh }}) => self > 50 && fresh > 100)({DOTS})")
        browser.until('document.querySelectorAll("#background-lookups button").length > 1')
        browser.until('document.getElementById("checks").textContent.includes("1 key, each")')
        browser.click('nav a[href="#values"]')
        browser.until('document.querySelectorAll("#keys-table tbody tr").length === 1')
        search = 'document.getElementById("value-search")'
        browser.click("#keys-table tbody button")  # the holders on the ring
        browser.until('document.getElementById("highlight-text").textContent.startsWith("11 ")')
        browser.click('nav a[href="#values"]')
        browser.js(f'{search}.value = "other"')
        browser.js(f'{search}.dispatchEvent(new Event("input"))')
        browser.until(
            'document.querySelector("#keys-table .empty").textContent.startsWith("Nothing here")'
        )
        browser.click('nav a[href="#overview"]')
        browser.click("#kill-node")
        browser.press(Keys.ESCAPE)  # kills none
        browser.click("#kill-node")
        browser.tab_to("#confirm-yes")
        browser.press(Keys.ENTER)
        browser.until(figure("nodes", 10))
        browser.until(figure("died", 1))
        browser.until('document.getElementById("highlight-text").textContent.startsWith("10 ")')
        browser.click("#start-node")
        browser.until(figure("nodes", 11))
        browser.until(figure("came", 1))
        browser.click('nav a[href="#nodes"]')
        browser.until('document.querySelectorAll("#node-table tbody tr").length === 11')
        port = client.swarm.members.all[3].port  # type: ignore[attr-defined]
        browser.js(f'document.getElementById("node-search").value = "{port}"')
        browser.js('document.getElementById("node-search").dispatchEvent(new Event("input"))')
        browser.click("#node-table tbody button")  # selects it on the ring
        browser.click("#details button.danger")
        assert browser.text("#confirm-text").startswith(f"Kill the node on port {port}?")
        browser.click("#confirm-yes")
        browser.until(f'document.getElementById("swarm-text").textContent === "Killed {port}."')
        browser.until(figure("died", 2))
        assert browser.complaints() == []
        browser.show("about:blank")
