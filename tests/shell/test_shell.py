"""The shell in this process: typed lines and the text that they print."""

from __future__ import annotations

import io
import re
import signal

import gevent
import pytest

from kademlua.core.ids import sha1, xor
from kademlua.core.text import escape_unprintable
from kademlua.shell.node_views import prompt_text
from kademlua.shell.shell import Shell
from kademlua.terminal.text import pretty_format, to_one_line
from tests.support.world import RTT


class TypedLineReader:
    """A reader of given lines, which records prompts and messages."""

    def __init__(self, lines, *, interactive=False):
        self.interactive = interactive
        self.messages = []
        self.prompts = []
        self.closed = False
        self._lines = list(lines)

    def read(self, prompt):
        self.prompts.append(prompt)
        return self._lines.pop(0) if self._lines else None

    def print_above_prompt(self, text):
        self.messages.append(text)

    def discard_line(self, hint):
        self.messages.append(hint)

    def close(self):
        self.closed = True


class Session:
    """The output of a shell for some lines."""

    def __init__(self, node, *lines, interactive=False):
        self.lines = TypedLineReader(lines, interactive=interactive)
        output = io.StringIO()
        self.ends_node = Shell(node, reader=self.lines, output=output).run()
        self.text = output.getvalue()
        self.messages = self.lines.messages


def test_values_are_shown_and_none_is_not(world):
    node = world.alice
    session = Session(node, "1 + 1", "None", "'text'", "sha1('key')[:2]", "x = 5", "x", "", "# no")
    assert session.text == "2\n'text'\nb'\\xa6/'\n5\n"
    assert session.messages == []


def test_long_values_are_shown_over_several_lines(world):
    node = world.alice
    session = Session(node, "[sha1(str(i)) for i in range(4)]")
    assert session.text.count("\n") == 4


def test_shell_stores_and_finds_records(world):
    node = world.network(2)[0]
    session = Session(
        node,
        "key = SigningKey(bytes(32))",
        "getimmutable(putimmutable('value').key)",
        "first, second = [putsigned(v, key, salt=b's').signed_record for v in ('one', 'two')]",
        "second.seq - first.seq",
        "getsigned(key.public_key, b's').value",
        "getsigned(tohex(key.public_key), 's').value",
        "getsigned(key.public_key)",
        "getimmutable('no such key')",
    )
    assert session.text == (
        "b'value'\n1\nb'two'\nb'two'\nno node has such a record\nno node has this value\n"
    )


def test_statements_define_names_for_later_lines(world):
    node = world.alice
    session = Session(node, "def double(x): return 2 * x", "double(4); y = 1", "double(y)")
    assert session.text == "2\n"


def test_shell_adds_overwrites_and_finds(world):
    node = world.alice
    session = Session(
        node,
        'add(sha1("key"), "old").refused',
        'overwrite(sha1("key"), "new").timed_out',
        'findvalue(sha1("key"))[0].values',
        'findvalue(sha1("key"), 1)[0].values',
        "node.datastore",
    )
    found = r"1 answer in [\d.]+ ms\n\[b'new'\]\n"
    assert re.match(rf"\[\]\n\[\]\n({found}){{2}}", session.text)


def test_id_commands(world):
    node = world.alice
    session = Session(
        node,
        'tohex(sha1("key"))',
        'fromhex(tohex(sha1("key"))) == sha1("key")',
        'tohex(xor(sha1("key"), sha1("key")))',
        "getbucketno(xor(node.id, bytes([node.id[0] ^ 128]) + node.id[1:]))",
        "getbucketno(node.id, bytes([node.id[0] ^ 128]) + node.id[1:])",
        "getbucketno(bytes(19) + b'\\1')",
        "getbucketno(node.id, node.id)",
        "fromhex('')",
        "fromhex('AbCd')",
        "xor('abc', b'abd')",
    )
    assert session.messages == []
    lines = session.text.splitlines()
    assert lines[:3] == [f"'{sha1('key').hex()}'", "True", f"'{'0' * 40}'"]
    assert lines[3:7] == ["1", "1", "160", "161"]
    assert lines[7:] == ["b''", r"b'\xab\xcd'", r"b'\x00\x00\x07'"]


@pytest.mark.parametrize("key", ['"key"', 'tohex(sha1("key"))', 'tohex(sha1("key")).upper()'])
def test_keys_are_text_hex_digits_or_bytes(world, key):
    node = world.network(2)[0]
    session = Session(
        node,
        'len(add(sha1("key"), "one").acknowledged)',
        f"findvalue({key})[0].values",
        f'len(overwrite({key}, "two").acknowledged)',
        f'publish({key}, "three").refused',
        "published[0].key == sha1('key')",
        f"unpublish({key})",
        f"remove({key}).refused",
        f"findvalue({key})",
        f"[c.id for c in findnode({key})] == [c.id for c in findnode(sha1('key'))]",
    )
    assert session.messages == []
    assert [line for line in session.text.splitlines() if " ms" not in line] == [
        *("2", "[b'one']", "2", "[]", "True", "True", "[]", "[]", "True")
    ]


def test_findvalue_limits_values_and_shows_the_time(world):
    node, *others = world.network(4)
    for number, other in enumerate(others):
        other.add(sha1("key"), str(number))
    session = Session(
        node,
        'len(findvalue("key", 1)[0].values)',
        'len(findvalue("key", 1, 2)[0].values)',
        'findvalue("none", 1, 0)',
    )
    assert re.fullmatch(r"(1 answer in [\d.]+ ms\n[32]\n){2}", session.text)
    assert session.messages == ["ValueError: findvalue takes counts of at least 1, not 0"]


def test_findnode_shows_distances(world):
    node = world.network(3)[0]
    session = Session(node, 'found = findnode("key")', "found", "found[0].id == _[0].id")
    first, second, third = session.text.splitlines()
    closest = node.find_node(sha1("key"))[0]
    assert first.split() == [
        closest.id.hex(),
        f"{closest.endpoint[0]}:{closest.endpoint[1]}",
        "distance",
        xor(closest.id, sha1("key")).hex()[:8] + "…",
    ]
    assert first.split()[3] < second.split()[3]
    assert third == "True"


def test_underscore_is_the_last_value(world):
    session = Session(world.alice, "6 * 7", "None", "x = 1", "_ + 1", "_")
    assert session.text == "42\n43\n43\n"


def test_gc_collects_all_or_a_step(world):
    session = Session(world.alice, "gc", 'gc("step")', 'gc("collect")', "gc('all')")
    assert session.text.count("objects collected") == 3
    assert session.messages == ['ValueError: gc takes "collect" or "step", not \'all\'']


def test_counters_are_selected_without_parentheses(world):
    session = Session(world.alice, 'stats["contacts"]', 'stats["nothing"]')
    assert session.text == "0\n"
    assert session.messages == ["KeyError: 'nothing'"]


def test_routing_lists_buckets_and_contacts(world):
    node = world.alice
    other = world.node(node)
    assert other.wait_joined()
    session = Session(other, "routing", "routing()")
    once = session.text[: len(session.text) // 2]
    assert session.text == 2 * once
    first, second, third = once.splitlines()
    assert first == f"own id {other.id.hex()}, 1 contact"
    assert second == "buckets 159 to 0: 1 contact"
    assert third.split()[:2] == [node.id.hex(), "10.0.0.1:4000"]
    assert third.split()[2] == xor(node.id, other.id).hex()[:8] + "…"


def test_ping_accepts_text_and_contacts(world):
    node, other = world.alice, world.bob
    addr, port = other.contact.endpoint
    session = Session(
        node,
        f'c = ping("{addr}:{port}").contact',
        "tohex(c.id)",
        "ping(c).contact == c",
        f'ping(("{addr}", {port})).contact == c',
        'ping("8001")',
    )
    assert session.text == f"'{other.id.hex()}'\nTrue\nTrue\n"
    assert session.messages == ["ValueError: expected HOST:PORT, not '8001'"]


def test_ping_resolves_host_names(make_node):
    node, other = make_node(), make_node()
    session = Session(node, f'tohex(ping("localhost:{other.contact.port}").contact.id)')
    assert session.text == f"'{other.id.hex()}'\n"
    assert session.messages == []


def test_commands_without_parentheses(world):
    node = world.alice
    session = Session(node, "stats", "gc", "add")
    assert "'packets_in': 0" in session.text
    assert "objects collected" in session.text
    assert 'add("key", "value")' in session.text
    assert session.messages == []


def test_help_lists_each_command_with_an_example(world):
    node = world.alice
    text = Session(node, "help").text
    for name in ("add", "overwrite", "findvalue", "findnode", "ping", "watch", "gc", "stats"):
        assert f"\n  {name}" in text
    for name in ("pprint", "sha1", "xor", "tohex", "fromhex", "getbucketno", "node", "exit"):
        assert f"\n  {name}" in text
    assert Session(node, "help()").text == text
    assert Session(node, "help(sha1)").text.startswith('sha1("key")  ')
    assert Session(node, "help('sha1')").text == Session(node, "help(sha1)").text
    assert Session(node, "help(3)").messages == [
        "TypeError: help takes one of the commands that it lists, as in help(add)"
    ]


def test_pprint_shows_a_value_once(world):
    node = world.alice
    assert Session(node, "pprint([1])").text == "[1]\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 +", "SyntaxError: invalid syntax"),
        ("'open", "SyntaxError: unterminated string literal (detected at line 1)"),
        ("1/0", "ZeroDivisionError: division by zero"),
        ("[][1]", "IndexError: list index out of range"),
        ("raise KeyError", "KeyError"),
        ("raise Exception('a\\n\\x1b[2J')", "Exception: a \\x1b[2J"),
        ("add(5, 1)", "TypeError: a key is 20 bytes (sha1(text) makes one), not 5"),
        ("add('', 1)", "ValueError: a key must not be empty"),
        ("findnode(b'short')", "ValueError: a key has 20 bytes, not 5"),
        ("add(sha1('k'), None)", "TypeError: bencoding has no form for NoneType"),
        ("xor('a', 'bc')", "ValueError: xor needs two strings of one length, not 1 and 2"),
        ("tohex(5)", "TypeError: expected bytes or text, not 5"),
        ("fromhex('a')", "ValueError: fromhex needs an even number of hex digits, not 'a'"),
        ("fromhex(b'')", "TypeError: fromhex needs text, not b''"),
        ("getbucketno('a')", "ValueError: a distance has 20 bytes, not 1"),
        ("raise KeyboardInterrupt", "interrupted"),
        ("add()", 'TypeError: missing a required argument: \'key\'; use add("key", "value")'),
        ("add('k', 1, 2, 3)", 'TypeError: too many positional arguments; use add("key", "value")'),
        ("routing(1)", "TypeError: too many positional arguments; use routing"),
        ("findvalue('k', 0)", "ValueError: findvalue takes counts of at least 1, not 0"),
        ("findvalue('k', 3, 'x')", "ValueError: findvalue takes counts of at least 1, not 'x'"),
        ("putsigned(1, 2)", 'TypeError: sign with SigningKey.load("my.key"), not 2'),
        ("getsigned('key')", "ValueError: fromhex needs an even number of hex digits, not 'key'"),
        ("sha1(5)", "TypeError: expected bytes or text, not 5"),
        ("ping(5)", "TypeError: ping takes text HOST:PORT or a contact, not 5"),
    ],
)
def test_errors_are_shown_in_one_line_and_the_shell_continues(world, line, message):
    node = world.alice
    session = Session(node, line, "6 * 7")
    assert session.messages == [message]
    assert session.text == "42\n"


@pytest.mark.parametrize(
    "line", ["(" * 500, "-" * 100_000 + "1", "'\0'", "class C: __repr__ = None", "1 if"]
)
def test_odd_lines_do_not_end_the_shell(world, line):
    node = world.alice
    session = Session(node, line, "6 * 7")
    assert session.text.endswith("42\n")
    assert all("\n" not in message for message in session.messages)


def test_value_with_failing_repr_shows_an_error(world):
    node = world.alice
    lines = ["class C: __repr__ = lambda self: 1 / 0", "C()", "6 * 7"]
    session = Session(node, *lines)
    assert session.messages == ["ZeroDivisionError: division by zero"]
    assert session.text == "42\n"


@pytest.mark.parametrize("line", ["exit", "quit", "exit()", "quit()", "raise SystemExit"])
def test_exit_ends_the_shell(world, line):
    node = world.alice
    session = Session(node, line, "1")
    assert session.text == ""
    assert session.ends_node
    assert session.lines.closed


def test_end_of_input_stops_the_node_only_at_a_terminal(world):
    node = world.alice
    assert not Session(node).ends_node
    assert Session(node, interactive=True).ends_node


def test_shell_says_what_ends_with_it(world):
    output = io.StringIO()
    lines = TypedLineReader(["help"], interactive=True)
    shell = Shell(world.alice, reader=lines, output=output, ends="the swarm")
    shell.run()
    assert "^D to end the swarm." in output.getvalue()
    assert "end the swarm, as ^D does" in output.getvalue()


def test_closed_output_ends_the_session(world):
    node = world.alice

    class Broken(io.StringIO):
        def flush(self):
            raise BrokenPipeError

    lines = TypedLineReader(["1", "2"])
    assert Shell(node, reader=lines, output=Broken()).run() is False
    assert lines.closed
    assert len(lines.prompts) == 1


def test_prompt_shows_contacts_size_and_memory(world):
    node = world.alice
    text = prompt_text(node)
    left, right = text.split("|")
    assert left == "0~1 "
    assert right.startswith(" ")
    assert right.endswith(" > ")
    assert int(right.removesuffix(" > ")) > 1000
    assert len(Session(node, "1").lines.prompts) == 2


def test_node_serves_while_a_command_waits(world):
    other = world.bob
    session = Session(
        world.alice,
        "import gevent",
        f"g = gevent.spawn(node.ping, {other.contact.endpoint})",
        "g.get().contact.port",
        f"round(ping({other.contact.endpoint}).rtt, 6)",
    )
    assert session.text == f"{other.contact.port}\n{RTT}\n"
    assert world.now == pytest.approx(2 * RTT)


def test_interrupt_ends_a_waiting_command(world):
    node = world.alice
    lines = TypedLineReader(["import gevent", "gevent.sleep(10**6)", "6 * 7"])
    output = io.StringIO()
    shell = Shell(node, reader=lines, output=output)
    assert not shell.interrupt()
    runner = gevent.spawn(shell.run)
    while len(lines.prompts) < 2:
        gevent.sleep(0)
    assert shell.interrupt()
    runner.get()
    assert world.now == 0
    assert lines.messages == ["interrupted"]
    assert output.getvalue() == "42\n"


def test_interrupt_ends_a_watch_and_its_leases(world):
    nodes = world.network(4)
    lines = TypedLineReader(["watch('key')", "6 * 7"])
    output = io.StringIO()
    shell = Shell(nodes[0], reader=lines, output=output)
    runner = gevent.spawn(shell.run)
    gevent.sleep(1)
    nodes[1].add(sha1("key"), "one")
    nodes[1].add(sha1("key"), ["two", "\x1b[2J"])
    nodes[1].remove(sha1("key"))
    gevent.sleep(1)
    assert any(node.services.lease_holder.lease_count for node in nodes)
    assert shell.interrupt()
    runner.get()
    assert lines.messages == ["interrupted"]
    owner = f"{nodes[1].contact.endpoint[0]}:4000"
    assert output.getvalue().splitlines() == [
        f"added     {owner:21}  b'one'",
        f"replaced  {owner:21}  [b'two', b'\\x1b[2J']",
        f"removed   {owner:21}  [b'two', b'\\x1b[2J']",
        "42",
    ]
    gevent.sleep(1)
    assert not any(node.services.lease_holder.lease_count for node in nodes)
    assert not nodes[0].closed


def test_watch_of_a_node_that_closes_ends(world):
    node = world.alice
    gevent.spawn_later(5, node.close)
    assert Session(node, "watch('key')", "6 * 7").text == "42\n"


def test_interrupt_ends_a_computation(world):
    node = world.alice
    lines = TypedLineReader(["import os, signal", "os.kill(os.getpid(), signal.SIGUSR1)", "6 * 7"])
    output = io.StringIO()
    shell = Shell(node, reader=lines, output=output)
    former = signal.signal(signal.SIGUSR1, lambda number, frame: shell.interrupt())
    try:
        shell.run()
    finally:
        signal.signal(signal.SIGUSR1, former)
    assert lines.messages == ["interrupted"]
    assert output.getvalue() == "42\n"


def test_control_characters_are_escaped():
    assert escape_unprintable("plain, grün") == "plain, grün"
    assert escape_unprintable("a\tb\n\x1b[2J", allowed="\n") == "a\\tb\n\\x1b[2J"
    assert to_one_line(" a\n  b\x07 ") == "a b\\x07"
    assert pretty_format("text") == "'text'"
