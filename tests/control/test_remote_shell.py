"""The shell over the control socket: lines come from the client, output goes back to it."""

import gevent
import pytest


def open_shell(client, **fields):
    """Open a shell, and return its messages up to the first prompt."""
    client.send({"id": 1, "do": "shell"} | fields)
    return client.receive_until("prompt")


def type_line(client, line):
    """Return the parts that a line causes, without the next prompt."""
    client.send({"id": 2, "do": "line", "text": line})
    messages = [message for message in client.receive_until("prompt") if message["id"] == 1]
    return [message["part"] for message in messages[:-1]]


def test_lines_are_evaluated(raw, node):
    client = raw()
    names, prompt = open_shell(client)
    assert {"findvalue", "node", "help"} <= set(names["part"]["names"])
    assert prompt["part"]["prompt"].endswith(" > ")
    assert type_line(client, "1 + 1") == [{"out": "2\n"}]
    assert type_line(client, "x = node.id") == []
    assert type_line(client, "x") == [{"out": repr(node.id) + "\n"}]
    assert type_line(client, "1/0") == [{"note": "ZeroDivisionError: division by zero"}]
    assert type_line(client, "print('a', 1)") == [{"out": "a 1\n"}]
    assert type_line(client, "\ud800")[0]["note"].startswith("UnicodeEncodeError")
    assert type_line(client, "print('a', end='')") == [{"out": "a"}]
    assert "end the shell, as" in type_line(client, "help(exit)")[0]["out"]


def test_each_client_has_its_own_names(raw):
    one, two = raw(), raw()
    open_shell(one)
    open_shell(two)
    type_line(one, "x = 1")
    assert "NameError" in type_line(two, "x")[0]["note"]


def test_output_is_as_wide_as_the_client_s_terminal(raw):
    client = raw()
    open_shell(client, width=50)
    wide = type_line(client, "list(range(30))")[0]["out"]
    assert all(len(line) < 50 for line in wide.splitlines())
    assert type_line(client, "pprint(list(range(30)))")[0]["out"] == wide


def test_greeting_is_shown_on_a_terminal(raw):
    messages = open_shell(raw(), interactive=True)
    assert messages[1]["part"] == {"out": "joined without contacts: this is the first node\n"}
    assert messages[2]["part"] == {"out": "Type help for the commands, ^D to end the shell.\n"}


@pytest.mark.parametrize("line", ["exit", "raise SystemExit", "quit()", None])
def test_end_of_the_shell_does_not_end_the_node(raw, node, line):
    client = raw()
    open_shell(client)
    client.send({"id": 2, "do": "line", "text": line} if line else {"id": 2, "do": "line"})
    assert {"id": 1, "ok": {}} in client.receive_until("ok") + client.receive_until("ok")
    assert node.joined
    open_shell(client)  # a connection may open another shell
    assert type_line(client, "1") == [{"out": "1\n"}]


def test_interrupt_ends_a_waiting_evaluation(raw):
    client = raw()
    open_shell(client)
    client.send({"id": 2, "do": "line", "text": "import gevent"})
    client.receive_until("prompt")
    client.send({"id": 3, "do": "line", "text": "gevent.sleep(3600)"})
    client.receive_until("ok")
    gevent.sleep(0.05)
    client.send({"id": 4, "do": "interrupt"})
    messages = client.receive_until("prompt")
    assert {"id": 4, "ok": {"interrupted": True}} in messages
    assert {"id": 1, "part": {"note": "interrupted"}} in messages
    assert client.request(id=5, do="interrupt") == {"id": 5, "ok": {"interrupted": False}}


@pytest.mark.parametrize("line", ["raise KeyboardInterrupt", "raise gevent.GreenletExit"])
def test_node_survives_exceptions_of_an_expression(raw, node, line):
    client = raw()
    open_shell(client)
    type_line(client, "import gevent")
    client.send({"id": 2, "do": "line", "text": line})
    client.receive_until("ok")
    assert "ok" in raw().request(do="node")


def test_evaluation_ends_with_the_connection(raw, node, monkeypatch):
    ended = gevent.event.Event()
    monkeypatch.setattr(node, "ended", ended, raising=False)
    client = raw()
    open_shell(client)
    client.send({"id": 2, "do": "line", "text": "import gevent"})
    client.receive_until("prompt")
    code = "try: gevent.sleep(3600)\nfinally: node.ended.set()"
    client.send({"id": 3, "do": "line", "text": f"exec({code!r})"})
    client.receive_until("ok")
    gevent.sleep(0.05)  # the evaluation has begun
    client.close()
    assert ended.wait(10)


def test_connection_has_one_shell_and_64_queued_lines(raw):
    client = raw()
    open_shell(client)
    assert client.request(id=2, do="shell")["error"] == "this connection has a shell already"
    type_line(client, "import gevent")
    client.send(*({"id": n, "do": "line", "text": "gevent.sleep(3600)"} for n in range(100)))
    assert "lines are waiting already" in client.receive_until("error")[-1]["error"]


def test_long_output_is_sent_in_pieces(raw):
    client = raw()
    open_shell(client)
    parts = type_line(client, "print('x' * 200_000)")
    assert "".join(part["out"] for part in parts) == "x" * 200_000 + "\n"
    assert max(len(part["out"]) for part in parts) <= 65_536
