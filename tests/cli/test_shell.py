"""The shell of ``kademlua node``, on a pseudo-terminal and on a pipe."""

from __future__ import annotations

import re
import signal

PROMPT = r"(\d+)~(\d+) \| +(\d+) > $"


def at_prompt(launch, *args):
    terminal = launch.terminal("node", "0", *(args or ("--no-bootstrap",)))
    terminal.out.expect(r"listening on \S+:\d+\n")
    terminal.out.expect(r"help.*\n")
    terminal.out.expect(PROMPT)
    return terminal


def test_expressions_at_a_prompt(launch):
    _, address = launch.node()
    terminal = at_prompt(launch, "--bootstrap", address)
    for typed, shown in [
        ('add(sha1("key"), "value")', r"^StoreReport\(acknowledged=\[<Contact "),
        ('findvalue(sha1("key"))', r"values=\[b'value'\]"),
        (
            'findnode(sha1("key"))',
            rf"^[0-9a-f]{{40}}  {re.escape(address)} +distance [0-9a-f]{{8}}…",
        ),
        (f'ping("{address}")', r"^Pong\(contact=<Contact "),
        ("routing", r"(?s)^own id [0-9a-f]{40}, 1 contact\nbuckets 159 to 0: 1 contact\n"),
        ("x = 6 * 7", PROMPT),
        ("x", r"^42\n"),
        ("help", r'(?s)findvalue\("key", 3, 10\).*exit'),
    ]:
        terminal.type(typed + "\n")
        terminal.out.expect(shown)
    match = terminal.out.expect(PROMPT)
    assert match[1] == "1"
    assert match[2] == "2"
    assert int(match[3]) > 1000


def test_prompt_says_how_many_contacts_the_node_joined_with(launch):
    _, address = launch.node()
    terminal = launch.terminal("node", "0", "--bootstrap", address)
    terminal.out.expect(r"^data in memory only\n")
    terminal.out.expect(r"^joined with 1 contact\n")
    terminal = launch.terminal("node", "0", "--no-bootstrap")
    terminal.out.expect(r"^joined without contacts: this is the first node\n")


def test_shell_continues_after_errors(launch):
    terminal = at_prompt(launch)
    for typed, shown in [
        ("1 +", r"^SyntaxError: invalid syntax\n"),
        ("1/0", r"^ZeroDivisionError: division by zero\n"),
        ("nosuch", r"^NameError: .*nosuch"),
        ("add(5, 1)", r"^TypeError: .*sha1\(text\)"),
        ('raise ValueError("a\\nb")', r"^ValueError: a b\n"),
        ("(" * 300, r"^SyntaxError: "),
    ]:
        terminal.type(typed + "\n")
        terminal.out.expect(shown)
        terminal.out.expect(PROMPT)
    assert "Traceback" not in terminal.out.text


def test_node_serves_while_the_prompt_waits(launch):
    terminal = launch.terminal("node", "0", "--no-bootstrap")
    address = terminal.out.expect(r"listening on (\S+)\n")[1]
    terminal.out.expect(PROMPT)
    terminal.type("half a li")
    assert launch.run("ping", address).returncode == 0


def test_end_of_input_ends_the_node(launch):
    terminal = at_prompt(launch)
    terminal.type("\x04")
    assert terminal.wait() == 0
    assert terminal.has_echo()


def test_exit_ends_the_node(launch):
    terminal = at_prompt(launch)
    terminal.type("exit\n")
    assert terminal.wait() == 0


def test_interrupt_at_the_prompt_discards_the_line(launch):
    terminal = at_prompt(launch)
    terminal.type("half a li")
    terminal.out.expect("half a li")
    assert not terminal.has_echo()
    terminal.type("\x1b[D\x1b[D\x03")
    terminal.out.expect(r"\^C\s*\n")
    terminal.out.expect(PROMPT)
    terminal.type("\x03")
    terminal.out.expect(PROMPT)
    terminal.type("6 * 7\n")
    terminal.out.expect(r"^42\n")
    terminal.out.expect(PROMPT)
    assert (launch.home / ".local/state/kademlua/history").read_text() == "6 * 7\n"
    terminal.type("quit\n")
    assert terminal.wait() == 0
    assert terminal.has_echo()
    assert "Traceback" not in terminal.out.text


def test_interrupt_from_elsewhere_at_the_prompt_ends_nothing(launch):
    terminal = at_prompt(launch)
    terminal.popen.send_signal(signal.SIGINT)
    terminal.out.expect(r"\^D ends the node\n")
    terminal.type("6 * 7\n")
    terminal.out.expect(r"^42\n")


def test_sigterm_at_the_prompt_restores_the_terminal(launch):
    terminal = at_prompt(launch)
    terminal.popen.send_signal(signal.SIGTERM)
    assert terminal.wait() == 0
    assert terminal.has_echo()


def test_interrupt_ends_endless_computation(launch):
    terminal = at_prompt(launch)
    terminal.type("print('begun', flush=True) or [1 for _ in iter(int, 1)]\n")
    terminal.out.expect(r"^begun\n")
    terminal.type("\x03")
    terminal.out.expect(r"interrupted\n")
    terminal.out.expect(PROMPT)


def test_interrupt_ends_endless_wait(launch):
    terminal = at_prompt(launch)
    terminal.type("import gevent\n")
    terminal.out.expect(PROMPT)
    terminal.type("print('begun', flush=True) or gevent.sleep(10**6)\n")
    terminal.out.expect(r"^begun\n")
    terminal.type("\x03")
    terminal.out.expect(r"interrupted\n")
    terminal.out.expect(PROMPT)
    terminal.type("2 * 21\n")
    terminal.out.expect(r"^42\n")


def test_sigterm_ends_node_during_endless_computation(launch):
    process = launch.start("node", "0", "--no-bootstrap", "--shell")
    process.type("print('begun', flush=True) or [1 for _ in iter(int, 1)]\n")
    process.out.expect(r"^begun\n")
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait() == 0


def test_history_is_kept_from_line_to_line(launch):
    terminal = at_prompt(launch)
    terminal.type("'first ' + 'session'\n")
    terminal.out.expect(r"^'first session'\n")
    terminal.out.expect(PROMPT)
    terminal.popen.kill()
    terminal.wait()
    path = launch.home / ".local/state/kademlua/history"
    assert path.read_text() == "'first ' + 'session'\n"
    assert path.stat().st_mode & 0o077 == 0
    terminal = at_prompt(launch)
    terminal.type("\x1b[A\n")
    terminal.out.expect(r"^'first session'\n")


def test_unusable_history_file_is_harmless(launch):
    (launch.home / ".local").write_text("in the way")
    terminal = at_prompt(launch)
    terminal.type("2 * 21\n")
    terminal.out.expect(r"^42\n")


def test_warning_preserves_typed_line(launch):
    terminal = at_prompt(launch)
    for line in [
        "import gevent, logging, os",
        "def look(): return [gevent.sleep(0.01) for _ in iter(lambda: os.path.exists('go'), True)]",
        "g = gevent.spawn(lambda: (look(), logging.warning('look %d', 1)))",
    ]:
        terminal.type(line + "\n")
        terminal.out.expect(PROMPT)
    terminal.type("2 * 2")
    terminal.out.expect(r"2 \* 2$")
    (launch.home / "go").touch()
    terminal.out.expect(r"\r\x1b\[K\S+ \S+ WARNING root: look 1\n\d+~\d+ \| +\d+ > 2 \* 2")
    terminal.type("1\n")
    terminal.out.expect(r"^42\n")


def test_shell_reads_a_pipe(launch):
    process = launch.start("node", "0", "--no-bootstrap", "--shell", "--log-level", "error")
    address = process.out.expect(r"listening on (\S+)\n")[1]
    process.type('add(sha1("key"), "value")\n1/0\n\n# nothing\nfindvalue(sha1("key"))\n"no end"')
    process.end_input()
    process.out.expect(r"values=\[b'value'\]\)\]\n'no end'\n\Z")
    process.err.expect(r"^ZeroDivisionError: division by zero\n")
    assert launch.run("ping", address).returncode == 0  # the node continues
    process.popen.send_signal(signal.SIGINT)
    assert process.wait() == 0
    assert not re.search(PROMPT, process.out.text + process.err.text)


def test_exit_in_a_pipe_ends_the_node(launch):
    done = launch.run("node", "0", "--no-bootstrap", "--shell", stdin=b"6*7\nquit()\n1\n")
    assert done.returncode == 0
    assert re.fullmatch(rb"kademlua node .*\n42\n", done.stdout)


def test_first_line_of_a_pipe_waits_until_the_node_has_joined(launch):
    _, address = launch.node()
    done = launch.run(
        "node", "0", "--bootstrap", address, "--shell", stdin=b'len(findnode(sha1("x")))\nexit\n'
    )
    assert done.stdout.endswith(b"\n1\n")
