"""One-shot commands among nodes of the original program."""

from __future__ import annotations

import random
from typing import Any

import gevent

from kademlua import Params
from kademlua.core.ids import random_id
from kademlua.runtime.transport import UdpTransport
from tests.cli.conftest import Launcher
from tests.support.original import OriginalPeer


def test_commands_enter_the_first_contact_s_table_once(launch: Launcher) -> None:
    """The second command knows the id of its first contact from the first command."""
    rng = random.Random(1)
    peers = [OriginalPeer(UdpTransport("127.0.0.1", 0, Params()), random_id(rng)) for _ in range(3)]
    known = {peer.contact for peer in peers}
    for peer in peers:
        peer.table |= known - {peer.contact}
    first, *others = peers
    address = f"127.0.0.1:{first.contact.port}"

    def run(*args: str) -> Any:  # the peers answer meanwhile
        return gevent.get_hub().threadpool.apply(launch.run, (*args, "--via", address))

    for number in range(3):
        done = run("add", "key", f"v{number}")
        assert done.returncode == 0, done.stderr
        assert len(first.table) <= 3
        done = run("find", "key")
        assert f"v{number}".encode() in done.stdout
    assert len(first.table - known) <= 1
    assert all(peer.table == known - {peer.contact} for peer in others)
    for peer in peers:
        peer.close()
