"""The control socket: requests, replies, and clients that break the rules."""

import select

import gevent
import pytest

from kademlua import sha1
from kademlua.control import connection, json_lines
from kademlua.control.client import ControlClient, NodeUnavailable, RequestFailed
from kademlua.control.server import MAX_CONNECTIONS
from kademlua.control.unix_socket import ControlError
from kademlua.core.json_codec import value_to_json
from tests.control.conftest import TIMEOUT

KEY = sha1("key").hex()
VALUE = value_to_json(b"value")


def test_each_request_gets_a_reply(raw, node):
    client = raw()
    assert client.request(id=1, do="node")["ok"]["id"] == node.id.hex()
    reply = client.request(id="two", do="add", key=KEY, value=VALUE)
    assert (reply["id"], len(reply["ok"]["acknowledged"])) == ("two", 1)
    assert client.request(do="unpublish", key=KEY) == {
        "id": None,
        "ok": {"key": KEY, "was_published": False},
    }
    client.send({"id": 3, "do": "stored"})
    rows, end = client.receive_until("ok")
    assert [row["key"] for row in rows["part"]["rows"]] == [KEY]
    assert end == {"id": 3, "ok": {"count": 1}}


def test_rows_are_sent_in_parts_of_at_most_64(raw, node):
    for number in range(150):
        node.add(sha1(str(number)), b"v")
    client = raw()
    client.send({"id": 1, "do": "stored"})
    *parts, end = client.receive_until("ok")
    sizes = [len(part["part"]["rows"]) for part in parts]
    assert (sum(sizes), max(sizes)) == (150, 64)
    assert end["ok"] == {"count": 150}


def test_slow_request_does_not_delay_others(raw, node, monkeypatch):
    monkeypatch.setattr(node, "find_value", lambda *args, **kwargs: gevent.sleep(3600))
    client = raw()
    client.send(*({"id": number, "do": "find", "key": KEY} for number in range(9)))
    assert client.request(id=9, do="node")["id"] == 9


def test_connection_runs_32_requests_at_once(raw, node, monkeypatch):
    gate, begun = gevent.event.Event(), []

    def find_value(*args, **kwargs):
        begun.append(args)
        gate.wait()
        return []

    monkeypatch.setattr(node, "find_value", find_value)
    client, other = raw(), raw()
    client.send(*({"id": number, "do": "find", "key": KEY} for number in range(100)))
    for _ in range(10):
        assert "ok" in other.request(do="node")
    assert len(begun) == connection._MAX_CONCURRENT
    gate.set()
    assert sorted(client.receive()["id"] for _ in range(100)) == list(range(100))


def test_operation_ends_after_its_timeout(raw, node, monkeypatch):
    monkeypatch.setattr(connection, "_OPERATION_TIMEOUT", 0.05)
    monkeypatch.setattr(node, "find_value", lambda *args, **kwargs: gevent.sleep(3600))
    assert raw().request(id=1, do="find", key=KEY) == {"id": 1, "error": "find took over 0 s"}


def test_exception_is_reported_and_logged_and_the_node_continues(raw, node, monkeypatch, caplog):
    monkeypatch.setattr(node, "find_value", lambda *args, **kwargs: 1 / 0)
    client = raw()
    reply = client.request(id=1, do="find", key=KEY)
    assert reply == {"id": 1, "error": "internal error: ZeroDivisionError"}
    assert "a request at the control socket failed" in caplog.text
    assert "ok" in client.request(do="node")


def test_half_closed_connection_still_gets_replies(raw):
    client = raw()
    client.send({"id": 1, "do": "add", "key": KEY, "value": VALUE}, b'{"id":2,"do":"node"}')
    client.sock.shutdown(1)
    assert {client.receive()["id"], client.receive()["id"]} == {1, 2}
    assert client.receive() is None


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"hello\n", "the line is not JSON"),
        (b"\xff\xfe\n", "the line is not JSON"),
        (b"[" * 20_000 + b"\n", "the line is not JSON"),
        (b"9" * 20_000 + b"\n", "the line is not JSON"),
        (b'{"id":1,"do":"add","ttl":NaN}\n', "the line is not JSON"),
        (b"[]\n", "the line is not a JSON object"),
        (b"{}\n", "the field 'do' names an operation"),
        (b'{"do":["stats"]}\n', "the field 'do' names an operation"),
        (b'{"id":1.5,"do":"stats"}\n', "the field 'id' is a number or a short text"),
        (b'{"id":true,"do":"stats"}\n', "the field 'id' is a number or a short text"),
        (b'{"id":null,"do":"\\ud800"}\n', "there is no operation"),
        (b'{"do":"line","text":"1"}\n', "this connection has no shell"),
        (b'{"do":"shell","width":0}\n', "'width' is a number"),
    ],
)
def test_invalid_request_gets_an_error_and_the_next_is_served(raw, line, error):
    client = raw()
    client.send(line, b"\n  \n")
    reply = client.receive()
    assert reply["id"] is None
    assert error in reply["error"]
    assert "ok" in client.request(do="node")


def test_overlong_line_ends_the_connection(raw, server):
    client = raw()
    with pytest.raises(OSError, match=r"peer|pipe"):  # the server stops reading
        client.send(b"x" * 65_536 * 1_000)
    assert "ok" in raw().request(do="node")
    other = raw()
    longest = 24 * 15_000 + 65_536
    other.send(b"x" * (longest + 1) + b"\n")
    assert other.receive()["error"] == f"the line has over {longest:,} bytes"
    assert other.receive() is None


def test_flood_of_lines_does_not_block_other_greenlets(raw):
    turns = 0

    def others():
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    client = raw()
    counting = gevent.spawn(others)
    client.send(b"\n" * 100_000, {"id": 1, "do": "node"})
    assert client.receive()["id"] == 1
    counting.kill()
    assert turns > 100_000 / 16 / 2


def test_unfinished_line_ends_the_connection(raw, monkeypatch):
    monkeypatch.setattr(json_lines, "_LINE_TIMEOUT", 0.2)
    client = raw()
    client.send(b'{"id":1,')

    def trickle():  # further bytes do not extend the timeout
        while True:
            try:
                client.send(b" ")
            except OSError:  # the server closed the connection
                return
            gevent.sleep(0.01)

    trickling = gevent.spawn(trickle)
    assert client.receive()["error"] == "the line does not end"
    trickling.get(timeout=TIMEOUT)


def test_idle_client_is_disconnected_unless_a_request_runs(raw, node, monkeypatch):
    monkeypatch.setattr(connection, "_IDLE_TIMEOUT", 0.05)
    assert "no request for" in raw().receive()["error"]
    busy = raw()
    monkeypatch.setattr(node, "find_value", lambda *args, **kwargs: gevent.sleep(0.3) or [])
    assert busy.request(id=1, do="find", key=KEY)["ok"]["answers"] == []


def test_client_that_does_not_read_is_disconnected(raw, node, monkeypatch):
    monkeypatch.setattr(json_lines, "_WRITE_TIMEOUT", 0.1)
    for number in range(100):
        node.add(sha1(str(number)), bytes(10_000))
    client = raw()
    client.send(*({"id": number, "do": "stored"} for number in range(20)))
    hangup = select.poll()
    hangup.register(client.sock, 0)
    with gevent.Timeout(10):
        while not hangup.poll(0):  # the client still reads nothing
            gevent.sleep(0.05)


def test_further_clients_are_refused_until_one_leaves(raw):
    clients = [raw() for _ in range(MAX_CONNECTIONS)]
    for client in clients:
        assert "ok" in client.request(do="node")
    late = raw()
    assert late.receive() == {
        "id": None,
        "error": f"{MAX_CONNECTIONS} clients are connected already",
    }
    assert late.receive() is None
    clients[0].close()
    with gevent.Timeout(10):
        while "error" in raw().request(do="node"):
            gevent.sleep(0.05)


# The client


def test_client_calls_and_streams(server, node):
    with ControlClient(server.path) as client:
        assert list(client.stream("published")) == []
        client.call("add", key=KEY, value=VALUE, ttl=None)
        assert [row["value"] for row in client.stream("stored")] == [VALUE]
        assert list(client.stream("stored", key="00" * 20)) == []
        with pytest.raises(RequestFailed, match="no operation 'nothing'"):
            client.call("nothing")
        assert client.call("node")["id"] == node.id.hex()


def test_client_reports_that_the_node_ended(server):
    client = ControlClient(server.path)
    assert client.call("node")
    server.close()
    with pytest.raises(NodeUnavailable, match="the node has ended"):
        client.call("node")
    client.close()
    with pytest.raises(ControlError, match="no node runs at"):
        ControlClient(server.path)


def test_client_reports_that_the_node_does_not_reply(server, node, monkeypatch):
    monkeypatch.setattr(node, "find_value", lambda *args, **kwargs: gevent.sleep(3600))
    with ControlClient(server.path) as client:
        client.send("find", key=KEY)
        with pytest.raises(NodeUnavailable, match="the node does not answer"):
            client.receive(0.05)
    client = ControlClient(server.path, timeout=0.05)
    with client, pytest.raises(NodeUnavailable, match="the node does not answer"):
        client.call("find", key=KEY)


def test_client_reports_a_path_without_a_socket(tmp_path):
    with pytest.raises(ControlError, match="missing: there is no such socket"):
        ControlClient(tmp_path / "missing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ControlError, match=r"file"):
        ControlClient(tmp_path / "file")
