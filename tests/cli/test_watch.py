"""``kademlua watch``."""

from __future__ import annotations

import json
import signal

from tests.cli.conftest import Launcher


def test_changes_are_shown_until_an_interrupt(launch: Launcher) -> None:
    _, address = launch.node()
    watching = launch.start("watch", "--json", "config", "other", "--via", address)
    for key, value in (("config", "one"), ("other", "two")):
        assert launch.run("add", "--via", address, key, value).returncode == 0
        line = json.loads(watching.out.expect(r"\{.*\}\n").group())
        assert line["value"] == value
    watching.popen.send_signal(signal.SIGINT)
    assert watching.wait() == 0
    assert watching.err.read_rest() == ""


def test_control_characters_of_values_are_escaped(launch: Launcher) -> None:
    _, address = launch.node()
    launch.run("add", "--via", address, "config", "\x1b[31mred")
    done = launch.run("watch", "--count", "1", "config", "--via", address)
    assert b"\\x1b[31mred" in done.stdout
    assert b"\x1b" not in done.stdout
