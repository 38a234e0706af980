"""The attacker of a plan: makes the datagrams, and reads and answers what its endpoints receive."""

from __future__ import annotations

import socket
from functools import partial

from kademlua import sha1
from kademlua.core.contact import Endpoint
from kademlua.core.errors import WireError
from kademlua.core.wire import packets, replies
from kademlua.core.wire.packets import Request, Response
from kademlua.runtime.transport import Transport
from kademlua.simulation.network.network import VirtualNetwork
from tests.security.places import (
    KEYS,
    NEIGHBOURS,
    NODE,
    SENDERS,
    SOURCE_IDS,
    SOURCES,
    THIRD_PARTIES,
)
from tests.security.plans import Action, Step, TokenChoice

_WRONG_TOKEN = b"12345678"
_TTL = 3_600


class Attacker:
    """Sends from all of ``SOURCES``.

    An unvalidated attacker answers nothing, and reads only what arrives at every second source. A
    validated one answers pings, and lies in its other replies.
    """

    def __init__(self, net: VirtualNetwork, *, is_validated: bool) -> None:
        self.bytes_sent = 0
        self._is_validated = is_validated
        self._transports: list[Transport] = []
        self._ids = list(SOURCE_IDS)
        """The id that each source used last."""
        self._asked: dict[tuple[int, bytes], tuple[bytes, bytes]] = {}
        """The sender's id and the key of each request, by source and rpc id."""
        self._token = _WRONG_TOKEN
        self._token_of: tuple[int, bytes, bytes] | None = None
        """The source, id and key for which the last token was issued."""
        self._last_query: tuple[int, bytes] | None = None
        """The source that the node queried last, and the rpc id."""
        self._naming: dict[int, Step] = {}
        """The step that says which third parties a source names."""
        for number, endpoint in enumerate(SOURCES):
            transport = net.transport(*endpoint)
            if is_validated or number % 2 == 0:
                transport.start(partial(self._on_datagram, number))
            else:
                transport.start(_ignore)
            self._transports.append(transport)

    def introduce(self) -> None:
        """Have each source ask for something, so that the node pings it."""
        for number, sender_id in enumerate(self._ids):
            payload = _request_payload(b"findnode", _text(KEYS[number % 6]), 1, is_client=False)
            self._send(packets.encode_request(sender_id, b"rpc-init", payload), number)

    def send(self, step: Step) -> None:
        """Send the datagram of a step."""
        self._naming[step.source] = step
        if step.action is Action.RESPONSE:
            self._send_response(step)
            return
        sender_id, rpc_id = SENDERS[step.sender], b"rpc-%04d" % step.rpc_id
        self._ids[step.source] = sender_id
        self._asked[step.source, rpc_id] = sender_id, KEYS[step.key]
        payload = self._payload(step)
        datagram = packets.encode_request(sender_id, rpc_id, payload)
        self._send(datagram.ljust(step.size, b"\0"), step.source)

    def _send(self, datagram: bytes, source: int) -> None:
        self.bytes_sent += len(datagram)
        self._transports[source].send(datagram, NODE)

    # Requests

    def _payload(self, step: Step) -> bytes:
        key = _text(KEYS[step.key])
        match step.action:
            case Action.FINDNODE:
                args = key
            case Action.FINDVALUE:
                args = b"%bi%dei%de" % (key, step.count, step.skip)
            case Action.STORE:
                fields = b"5:owner" + _text(self._named(step)[0]) if step.has_owner else b""
                value = _text(b"v" * step.value_bytes)
                token = _text(self._token_for(step))
                args = b"%b%bi0e%bi%ded%be" % (key, value, token, _TTL, fields)
            case Action.REMOVE:
                args = b"%bi%de%b" % (key, _TTL, _text(self._token_for(step)))
            case Action.LEAVE:
                args = b"i%de" % (step.count == 1)
            case Action.LACKS:
                ids = b"".join(each[:20] for each in self._named(step))
                ids += b"".join(each.id for each in NEIGHBOURS[:10])
                args = key + _text(ids[:400])
                args += _text(self._named(step)[0]) if step.has_owner else b""
            case Action.REACH:
                args = _text(self._named(step)[0]) if step.has_owner else b""
            case Action.GARBAGE:
                return b"d4:argsl%be4:name4:ping1:vi1ee" % (b"le" * min(step.value_bytes, 7_000))
            case _:
                args = b""
        return _request_payload(
            step.action.value.encode(), args, step.version, is_client=step.is_client
        )

    def _token_for(self, step: Step) -> bytes:
        if step.token is TokenChoice.NONE:
            return b""
        use = step.source, SENDERS[step.sender], KEYS[step.key]
        if step.token is TokenChoice.WRONG or (use == self._token_of and not self._is_validated):
            return _WRONG_TOKEN  # its own token would prove its address
        return self._token

    def _named(self, step: Step) -> list[bytes]:
        """Return the third parties that a step names, with ids near its key."""
        prefix = KEYS[step.key][: step.near_bytes]
        return [
            _compact(THIRD_PARTIES[number % len(THIRD_PARTIES)], prefix)
            for number in range(step.named, step.named + step.named_count)
        ]

    # Responses

    def _send_response(self, step: Step) -> None:
        """Answer the last query from another endpoint, or under another id."""
        if self._last_query is None:
            return
        source, rpc_id = self._last_query
        sender = step.source
        if sender == source and not self._is_validated:
            sender = (sender + 1) % len(SOURCES)
        payload = replies.PONG if step.count < 2 else self._contacts_payload(step)
        sender_id = SENDERS[step.sender] if step.sender % 2 else self._ids[source]
        self._send(packets.encode_response(sender_id, rpc_id, payload), sender)

    def _on_datagram(self, source: int, datagram: bytes, _: Endpoint) -> None:
        try:
            packet = packets.decode(datagram)
        except WireError:
            return
        if isinstance(packet, Response):
            self._read_token(source, packet)
            return
        self._last_query = source, packet.rpc_id
        if self._is_validated:
            payload = self._answer(source, packet)
            self._send(packets.encode_response(self._ids[source], packet.rpc_id, payload), source)

    def _read_token(self, source: int, response: Response) -> None:
        asked = self._asked.get((source, response.rpc_id))
        if asked is None or b"5:token" not in response.payload:
            return
        token = replies.decode_token(packets.decode_values(response.payload))
        if token:
            self._token, self._token_of = token, (source, *asked)

    def _answer(self, source: int, request: Request) -> bytes:
        match request.name:
            case b"ping":
                return replies.PONG
            case b"findnode" | b"findvalue":
                step = self._naming.get(source)
                if step is None:
                    return b"ld7:closest0:ee"
                return self._contacts_payload(step, request.name)
            case b"getsocket":
                return replies.encode_getsocket_reply(*THIRD_PARTIES[source])
            case b"lacks" | b"reached" | b"leave":
                return replies.LEAVE_OK
        return replies.STORE_OK

    def _contacts_payload(self, step: Step, name: bytes = b"findnode") -> bytes:
        """Return the reply to a find that names third parties, in the form of the step's version.

        That of 1.0 may have IPv4 addresses in the form of IPv6.
        """
        contacts = self._named(step) + [
            _compact(endpoint, b"", node_id)
            for endpoint, node_id in zip(SOURCES, self._ids, strict=True)
        ]
        if step.version:
            return b"ld7:closest%bee" % _text(b"".join(contacts[:64]))
        prefix = "::ffff:" if step.is_client else ""
        listed = b"l%be" % b"".join(_listed(each, prefix) for each in contacts[:64])
        return b"ld7:closest%bee" % listed if name == b"findvalue" else b"l%be" % listed


def _ignore(datagram: bytes, endpoint: Endpoint) -> None:
    """Read nothing: it went to a forged address."""


def _text(value: bytes) -> bytes:
    return b"%d:%b" % (len(value), value)


def _request_payload(name: bytes, args: bytes, version: int, *, is_client: bool) -> bytes:
    client_field = b"2:roi1e" if is_client else b""
    version_field = b"1:vi%de" % version if version else b""
    return b"d4:argsl%be4:name%b%b%be" % (args, _text(name), client_field, version_field)


def _compact(endpoint: Endpoint, prefix: bytes, node_id: bytes = b"") -> bytes:
    """Return a packed contact, also a bad one."""
    addr, port = endpoint
    node_id = node_id or prefix + sha1(f"{addr}:{port}")[len(prefix) :]
    return node_id + socket.inet_aton(addr) + port.to_bytes(2, "big")


def _listed(compact: bytes, prefix: str) -> bytes:
    """Return a packed contact in the form of 1.0."""
    addr = prefix + socket.inet_ntoa(compact[20:24])
    port = int.from_bytes(compact[24:], "big")
    return b"l%bi%de%be" % (_text(addr.encode()), port, _text(compact[:20]))
