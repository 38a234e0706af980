"""The shell of a guest: lines come by the socket, and so does what the shell says."""

import gevent
import pytest


def begun(client, **fields):
    """A shell that waits for its first line, and what was said before."""
    client.send({"id": 1, "do": "shell"} | fields)
    return client.receive_until("prompt")


def typed(client, line):
    """What is said to a line, without prompt and receipt."""
    client.send({"id": 2, "do": "line", "text": line})
    said = [message for message in client.receive_until("prompt") if message["id"] == 1]
    return [message["part"] for message in said[:-1]]


def test_lines_are_evaluated(raw, node):
    client = raw()
    names, prompt = begun(client)
    assert {"findvalue", "node", "help"} <= set(names["part"]["names"])
    assert prompt["part"]["prompt"].endswith(" > ")
    assert typed(client, "1 + 1") == [{"out": "2\n"}]
    assert typed(client, "x = node.id") == []
    assert typed(client, "x") == [{"out": repr(node.id) + "\n"}]
    assert typed(client, "1/0") == [{"note": "ZeroDivisionError: division by zero"}]
    assert typed(client, "print('a', 1)") == [{"out": "a 1\n"}]
    assert typed(client, "\ud800")[0]["note"].startswith("UnicodeEncodeError")
    assert typed(client, "print('a', end='')") == [{"out": "a"}]
    assert "end the shell, as" in typed(client, "help(exit)")[0]["out"]


def test_each_guest_has_names_of_its_own(raw):
    one, two = raw(), raw()
    begun(one)
    begun(two)
    typed(one, "x = 1")
    assert "NameError" in typed(two, "x")[0]["note"]


def test_it_is_as_wide_as_the_guests_terminal(raw):
    client = raw()
    begun(client, width=50)
    wide = typed(client, "list(range(30))")[0]["out"]
    assert all(len(line) < 50 for line in wide.splitlines())
    assert typed(client, "pprint(list(range(30)))")[0]["out"] == wide


def test_a_greeting_for_who_sits_at_a_terminal(raw):
    said = begun(raw(), interactive=True)
    assert said[1]["part"] == {"out": "Type help for the commands, ^D to end the shell.\n"}


@pytest.mark.parametrize("line", ["exit", "raise SystemExit", "quit()", None])
def test_its_end_is_not_that_of_the_node(raw, node, line):
    client = raw()
    begun(client)
    client.send({"id": 2, "do": "line", "text": line} if line else {"id": 2, "do": "line"})
    assert {"id": 1, "ok": {}} in client.receive_until("ok") + client.receive_until("ok")
    assert node.joined
    begun(client)  # another one
    assert typed(client, "1") == [{"out": "1\n"}]


def test_an_evaluation_is_broken_off(raw):
    client = raw()
    begun(client)
    client.send({"id": 2, "do": "line", "text": "import gevent"})
    client.receive_until("prompt")
    client.send({"id": 3, "do": "line", "text": "gevent.sleep(3600)"})
    client.receive_until("ok")
    gevent.sleep(0.05)
    client.send({"id": 4, "do": "interrupt"})
    said = client.receive_until("prompt")
    assert {"id": 4, "ok": {"interrupted": True}} in said
    assert {"id": 1, "part": {"note": "interrupted"}} in said
    assert client.request(id=5, do="interrupt") == {"id": 5, "ok": {"interrupted": False}}


@pytest.mark.parametrize("line", ["raise KeyboardInterrupt", "raise gevent.GreenletExit"])
def test_whatever_an_expression_raises_the_node_lives(raw, node, line):
    client = raw()
    begun(client)
    typed(client, "import gevent")
    client.send({"id": 2, "do": "line", "text": line})
    client.receive_until("ok")
    assert "ok" in raw().request(do="node")


def test_a_guest_who_goes_leaves_nothing_running(raw, server):
    client = raw()
    begun(client)
    client.send({"id": 2, "do": "line", "text": "import gevent"})
    client.receive_until("prompt")
    client.send({"id": 3, "do": "line", "text": "gevent.sleep(3600)"})
    client.receive_until("ok")
    runner = next(iter(server._connections))._remote_shell._runner
    client.close()
    runner.join(10)
    assert runner.dead


def test_one_shell_a_connection_and_so_many_lines_ahead(raw):
    client = raw()
    begun(client)
    assert client.request(id=2, do="shell")["error"] == "this connection has a shell already"
    typed(client, "import gevent")
    client.send(*({"id": n, "do": "line", "text": "gevent.sleep(3600)"} for n in range(100)))
    told = [client.receive_until("error")[-1]]
    assert "lines are waiting already" in told[0]["error"]


def test_much_text_comes_in_pieces(raw):
    client = raw()
    begun(client)
    said = typed(client, "print('x' * 200_000)")
    assert "".join(part["out"] for part in said) == "x" * 200_000 + "\n"
    assert max(len(part["out"]) for part in said) <= 65_536
