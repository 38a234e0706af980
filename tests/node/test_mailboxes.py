"""Mail on the virtual network: what reaches an inbox, and what does not."""

from __future__ import annotations

import asyncio
from typing import Any

import gevent
import pytest

from kademlua import (
    AsyncNode,
    Mail,
    NodeClosed,
    Params,
    SigningKey,
    StoreFailed,
    ThreadedNode,
    mail_address,
)
from kademlua.core.contact import Endpoint
from kademlua.crypto.mail import mailbox_key, seal
from kademlua.node.inbox_iterators import InboxFeed
from tests.support.world import World

ALICE, BOB, EVE = (SigningKey(bytes([each]) * 32) for each in b"abe")
ADDRESS = mail_address(BOB)
BOX = mailbox_key(ADDRESS)


def drain(inbox: InboxFeed, seconds: float = 2.0) -> list[Any]:
    """The values of all messages within some seconds."""
    found = []
    while (mail := inbox.next(seconds)) is not None:
        found.append(mail.value)
    return found


@pytest.mark.parametrize("value", [b"", b"meet me", 7, [1, [b"x"]], {b"k": b"v" * 500}])
def test_message_reaches_its_reader_and_no_other(world: World, value: Any) -> None:
    sender, reader, other, *_ = world.network(10)
    sender.put_for(ADDRESS, value, ALICE)
    with reader.inbox(BOB) as inbox, other.inbox(EVE) as wrong_inbox:
        mail = inbox.next(2)
        assert isinstance(mail, Mail)
        assert (mail.sender, mail.value) == (ALICE.public_key, value)
        assert drain(wrong_inbox) == []


def test_later_messages_arrive_next_to_earlier_ones(world: World) -> None:
    """Of one node and of several, of one sender and of several, before and during the watch."""
    first, second, reader, *_ = world.network(10)
    first.put_for(ADDRESS, b"one", ALICE)
    first.put_for(ADDRESS, b"two", EVE)
    second.put_for(ADDRESS, b"three", ALICE)
    with reader.inbox(BOB) as inbox:
        assert sorted(drain(inbox)) == [b"one", b"three", b"two"]
        first.put_for(ADDRESS, b"four", ALICE)
        first.put_for(ADDRESS, b"four", ALICE)
        assert drain(inbox) == [b"four", b"four"]
    with reader.inbox(BOB) as inbox:
        assert len(drain(inbox)) == 5


def test_concurrent_messages_all_arrive(world: World) -> None:
    sender, reader, *_ = world.network(10)
    with reader.inbox(BOB) as inbox:
        gevent.joinall([gevent.spawn(sender.put_for, ADDRESS, n, ALICE) for n in range(10)])
        assert sorted(drain(inbox)) == list(range(10))


def test_nodes_of_the_network_learn_neither_sender_nor_message(world: World) -> None:
    seen: list[bytes] = []
    nodes = world.network(10)
    world.net.set_observer(lambda at, source, to, datagram, outcome: seen.append(datagram))
    nodes[0].put_for(ADDRESS, b"meet me", ALICE)
    with nodes[1].inbox(BOB) as inbox:
        assert drain(inbox) == [b"meet me"]
    assert len(seen) > 10
    for hidden in (b"meet me", ALICE.public_key, ADDRESS):
        assert not any(hidden in each for each in seen)


def test_what_is_no_mail_is_ignored(world: World) -> None:
    nodes = world.network(12)
    now = int(nodes[0].services.context.wall_clock() * 1e6)
    to_eve = seal(mail_address(EVE), b"1:x", ALICE, now)
    genuine = seal(ADDRESS, b"1:x", ALICE, now)
    junk: list[Any] = [
        b"plain",
        7,
        {b"k": genuine},
        genuine,
        [],
        [[genuine], 5, b"", bytes(200), genuine[:-1]],
        [to_eve],
        [seal(ADDRESS, b"no bencoding", ALICE, now)],
    ]
    for node, value in zip(nodes, junk, strict=False):
        node.add(BOX, value)
    with nodes[10].inbox(BOB) as inbox:
        assert drain(inbox) == []
        nodes[11].add(BOX, [5, genuine, b"junk"])
        assert drain(inbox) == [b"x"]


def test_replayed_message_is_shown_once(world: World) -> None:
    """Others store copies of it, in other lists."""
    sender, reader, *others = world.network(10)
    with reader.inbox(BOB) as inbox:
        sender.put_for(ADDRESS, b"pay 5", ALICE)
        assert drain(inbox) == [b"pay 5"]
        [answer] = others[0].find_value(BOX, max_nodes=1)
        [sealed] = answer.values[0]
        others[0].add(BOX, [sealed])
        others[1].add(BOX, [sealed, sealed])
        sender.remove(BOX)
        others[2].add(BOX, [b"x", sealed])
        assert drain(inbox) == []


def test_message_older_than_any_value_is_ignored(world: World) -> None:
    nodes = world.network(5, params=Params(ttl=600, max_ttl=600))
    gevent.sleep(1_000)
    now = nodes[0].services.context.wall_clock()
    for node, value, age in ((nodes[0], b"3:old", 610), (nodes[1], b"3:new", 590)):
        node.add(BOX, [seal(ADDRESS, value, ALICE, int((now - age) * 1e6))])
    with nodes[2].inbox(BOB) as inbox:
        assert drain(inbox) == [b"new"]


def test_too_large_a_message_states_the_limit(world: World) -> None:
    sender, reader, *_ = world.network(3)
    with pytest.raises(ValueError, match=r"a message has at most 1\d,\d\d\d bytes") as caught:
        sender.put_for(ADDRESS, b"x" * (sender.params.max_value_bytes - 50), ALICE)
    limit = int(str(caught.value).split()[5].replace(",", ""))
    sender.put_for(ADDRESS, b"x" * (limit - len("12345:")), ALICE)
    with reader.inbox(BOB) as inbox:
        assert len(drain(inbox)) == 1


def test_full_mailbox_has_room_when_messages_expire(world: World) -> None:
    sender, reader, *_ = world.network(3)
    sender.put_for(ADDRESS, b"x" * 9_000, ALICE, ttl=60)
    with pytest.raises(StoreFailed, match="leave no room; the first of them expires in"):
        sender.put_for(ADDRESS, b"y" * 9_000, ALICE)
    sender.put_for(mail_address(EVE), b"y" * 9_000, ALICE)
    gevent.sleep(61)
    sender.put_for(ADDRESS, b"y" * 9_000, ALICE)
    with reader.inbox(BOB) as inbox:
        assert drain(inbox) == [b"y" * 9_000]


def test_short_lived_message_does_not_shorten_an_earlier_one(world: World) -> None:
    sender, reader, *_ = world.network(3)
    sender.put_for(ADDRESS, b"long", ALICE, ttl=1_000)
    sender.put_for(ADDRESS, b"short", ALICE, ttl=10)
    gevent.sleep(500)
    with reader.inbox(BOB) as inbox:
        assert b"long" in drain(inbox)


@pytest.mark.parametrize("address", [b"short", "text", bytes(32)])
def test_invalid_address_is_refused(world: World, address: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="mail address"):
        world.network(2)[0].put_for(address, b"hi", ALICE)


def test_inbox_needs_a_key_with_its_secret(world: World) -> None:
    signer: Any = object()
    with pytest.raises(TypeError, match="SigningKey"):
        world.network(2)[0].inbox(signer)


def test_inbox_ends_with_close_and_with_its_node(world: World) -> None:
    _, reader, *_ = world.network(3)
    inbox, other = reader.inbox(BOB), reader.inbox(BOB)
    consumers = [gevent.spawn(list, each) for each in (inbox, other)]
    gevent.sleep(1)
    inbox.close()
    inbox.close()
    assert consumers[0].get(timeout=1) == []
    assert not consumers[1].ready()
    reader.close()
    assert consumers[1].get(timeout=1) == []
    with pytest.raises(NodeClosed):
        reader.inbox(BOB)


def test_bridges_have_the_same_operations() -> None:
    async def exchange(endpoint: Endpoint) -> Any:
        async with AsyncNode(bootstrap=[endpoint]) as node, node.inbox(BOB) as inbox:
            first = await anext(inbox)
            await node.put_for(mail_address(ALICE), b"answer", BOB)
            return first.value

    with ThreadedNode() as node:
        node.put_for(ADDRESS, b"question", ALICE)
        assert asyncio.run(exchange(node.contact.endpoint)) == b"question"
        with node.inbox(ALICE) as inbox:
            assert next(inbox).value == b"answer"
