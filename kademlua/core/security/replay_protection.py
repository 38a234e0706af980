"""Replay protection of private networks: tickets and counters in requests.

``docs/protocol-private.md`` explains why it holds. All state belongs to one node, is bounded, and
ends with the node.
"""

from __future__ import annotations

import hashlib
import random
from itertools import islice
from struct import Struct
from typing import Final

from kademlua.core.contact import Endpoint
from kademlua.core.reasons import DropReason

TICKET_BYTES: Final = 8
TRAILER: Final = Struct("!8sQ")
"""Ticket and counter, between the payload of a request and its MAC."""
NO_TICKET: Final = bytes(TICKET_BYTES)
NO_TRAILER: Final = bytes(TRAILER.size)
"""The trailer of a request to a peer whose ticket is unknown."""

MAX_SESSIONS: Final = 2_048
WINDOW: Final = 64
"""Requests of one peer that may overtake a request before it counts as replayed."""
MAX_RETRIES: Final = 3
"""Retries of one request. Each takes another ticket, so a recorded challenge causes none."""
MAX_TRACKED_RETRIES: Final = 256
"""Requests whose retries are remembered."""

_ALL_MISSING: Final = (1 << WINDOW) - 2
"""``window_missing`` of a new window: only its top has arrived."""
_SECRET_BYTES: Final = 32
_unpack_trailer = TRAILER.unpack_from


class Session:
    """The tickets and counters between a node and one peer."""

    __slots__ = (
        "expected_ticket",
        "highest_counter",
        "last_proven_ticket",
        "outgoing_counter",
        "outgoing_ticket",
        "window_missing",
        "window_top",
    )

    def __init__(self) -> None:
        self.expected_ticket = b""
        """The ticket that the peer's requests must carry; empty if there is none yet."""
        self.last_proven_ticket = b""
        """The last ticket of a challenge that the peer has shown; the next one is derived from
        it."""
        self.highest_counter = 0
        """The highest counter that arrived with the ticket."""
        self.window_top = 0
        """The highest counter when counters were last skipped; all later ones have arrived."""
        self.window_missing = 0
        """Bit n: the counter n below the top has not arrived."""
        self.outgoing_ticket = NO_TICKET
        """The ticket in this node's requests to the peer."""
        self.outgoing_counter = 0
        """The counter of the last request to the peer."""

    def start_window(self, ticket: bytes, counter: int) -> None:
        """Expect this ticket from now on; ``counter`` arrived first with it."""
        self.expected_ticket = ticket
        self.highest_counter = self.window_top = counter
        self.window_missing = _ALL_MISSING

    def check_counter(self, counter: int) -> DropReason | None:
        """Record a counter that came with the ticket; return why it cannot be new, or None."""
        skipped = counter - self.highest_counter - 1
        if skipped >= 0:
            # Counters below the window no longer count as missing.
            missing = self.window_missing << min(counter - self.window_top, WINDOW)
            self.window_missing = (missing | (2 << min(skipped, WINDOW)) - 2) & _ALL_MISSING
            self.highest_counter = self.window_top = counter
            return None
        distance = self.window_top - counter
        if (
            self.highest_counter - counter >= WINDOW
            or distance < 0
            or not self.window_missing >> distance & 1
        ):
            return DropReason.REPLAYED
        self.window_missing ^= 1 << distance
        return None


class SessionTable:
    """The sessions of a node by endpoint. Only a peer with a network key can start one."""

    __slots__ = ("_by_endpoint", "_limit", "_rng", "_secret", "get")

    def __init__(self, rng: random.Random, limit: int = MAX_SESSIONS) -> None:
        """Create an empty table; all tickets depend on ``rng``, which must be unpredictable."""
        self._rng = rng
        self._limit = limit
        self._by_endpoint: dict[Endpoint, Session] = {}
        self.get = self._by_endpoint.get
        """Returns the session with an endpoint, or None."""
        self._secret = rng.randbytes(_SECRET_BYTES)

    def __len__(self) -> int:
        return len(self._by_endpoint)

    # Incoming requests

    def check(self, endpoint: Endpoint, request: bytes) -> DropReason | None:
        """Check the ticket and counter at the end of a request; return None if it is new.

        Return REPLAYED if it arrived before, UNPROVEN if that is unknown and a challenge is due.
        """
        ticket, counter = _unpack_trailer(request, -TRAILER.size)
        session = self.get(endpoint)
        if session is None or ticket != session.expected_ticket:
            return self._check_new_ticket(session, endpoint, ticket, counter)
        if counter == session.highest_counter + 1:  # the usual case
            session.highest_counter = counter
            return None
        return session.check_counter(counter)

    def _check_new_ticket(
        self, session: Session | None, endpoint: Endpoint, ticket: bytes, counter: int
    ) -> DropReason | None:
        """Check a ticket that the endpoint has not shown yet: it must be that of a challenge."""
        if ticket != self.ticket_for(endpoint):
            return DropReason.UNPROVEN
        session = session or self._add(endpoint)
        session.start_window(ticket, counter)
        session.last_proven_ticket = ticket
        if session.outgoing_ticket == NO_TICKET:  # a random ticket, new to the peer
            session.outgoing_ticket, session.outgoing_counter = (
                _ticket_of_counter(counter),
                self._random_counter(),
            )
        return None

    def ticket_for(self, endpoint: Endpoint) -> bytes:
        """Return the ticket of the next challenge to an endpoint.

        It stays the same until it is shown, so a challenge needs no memory. It never repeats,
        since it depends on the last one that was shown.
        """
        session = self.get(endpoint)
        previous = session.last_proven_ticket if session is not None else b""
        # Unambiguous: the ticket has 8 bytes or none, and there are two blanks after it.
        material = b"%b %b %d" % (previous, endpoint[0].encode(), endpoint[1])
        return hashlib.blake2b(material, key=self._secret, digest_size=TICKET_BYTES).digest()

    # Outgoing requests

    def adopt_ticket(self, endpoint: Endpoint, ticket: bytes) -> None:
        """Use the ticket of a challenge in requests to an endpoint from now on."""
        session = self.get(endpoint) or self._add(endpoint)
        if session.outgoing_ticket == NO_TICKET:
            session.outgoing_counter = self._random_counter()
        session.outgoing_ticket = ticket
        if not session.expected_ticket:  # the first counter that the peer sees
            session.expected_ticket = _ticket_of_counter(session.outgoing_counter + 1)

    def _random_counter(self) -> int:
        """Return a random first counter. It has 62 bits, so that it never overflows."""
        return int.from_bytes(self._rng.randbytes(8)) >> 2

    def _add(self, endpoint: Endpoint) -> Session:
        if len(self._by_endpoint) >= self._limit:
            for each in list(islice(self._by_endpoint, (self._limit + 1) // 2)):
                del self._by_endpoint[each]
            # The dropped sessions' tickets must not be issued again.
            self._secret = self._rng.randbytes(_SECRET_BYTES)
        session = self._by_endpoint[endpoint] = Session()
        return session


class ChallengeRetries:
    """The tickets with which requests in flight were retried: each once, and a few at most."""

    __slots__ = ("_by_rpc_id",)

    def __init__(self) -> None:
        self._by_rpc_id: dict[bytes, tuple[bytes, ...]] = {}

    def __len__(self) -> int:
        return len(self._by_rpc_id)

    def is_allowed(self, rpc_id: bytes, ticket: bytes) -> bool:
        """Return whether a request may be retried with a ticket."""
        tickets = self._by_rpc_id.get(rpc_id, ())
        return ticket not in tickets and len(tickets) < MAX_RETRIES

    def record(self, rpc_id: bytes, ticket: bytes) -> None:
        """Record a retry."""
        by_rpc_id = self._by_rpc_id
        if rpc_id not in by_rpc_id and len(by_rpc_id) >= MAX_TRACKED_RETRIES:
            del by_rpc_id[next(iter(by_rpc_id))]
        by_rpc_id[rpc_id] = (*by_rpc_id.get(rpc_id, ()), ticket)


def _ticket_of_counter(counter: int) -> bytes:
    return counter.to_bytes(8)
