"""What tells a new request of a private network from a recorded one: tickets and counters.

``docs/protocol.md`` says why it holds. All state is of one node, bounded, and gone when it
ends.
"""

from __future__ import annotations

import hashlib
import random
from itertools import islice
from struct import Struct

from kademlua.core.contact import Endpoint
from kademlua.core.reasons import DropReason

TICKET_BYTES = 8
TRAILER = Struct("!8sQ")
"""What a request has between its payload and its tag: ticket and counter."""
NO_TICKET = bytes(TICKET_BYTES)
NO_TRAILER = bytes(TRAILER.size)
"""What a request ends with that goes to a peer of which no ticket is known."""

MAX_SESSIONS = 2_048
WINDOW = 64
"""Requests of one peer among which one may be late."""
MAX_RETRIES = 3
"""Of one request. Each takes another ticket, so a recorded challenge brings forth none."""
MAX_TRACKED_RETRIES = 256
"""Requests of which it is remembered that they were repeated."""

_ALL_MISSING = (1 << WINDOW) - 2
"""As a session's ``missing``: of the window only the mark itself came."""
_SECRET_BYTES = 32
_unpack_trailer = TRAILER.unpack_from


class Session:
    """What a node and one peer have shown each other."""

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
        """The ticket that the peer's requests have to show; empty where there is none yet."""
        self.last_proven_ticket = b""
        """The last ticket of a challenge of ours that it showed: what the next is made of."""
        self.highest_counter = 0
        """The highest counter that came with the ticket."""
        self.window_top = 0
        """The highest one when some were last left out; from there to the newest all came."""
        self.window_missing = 0
        """Bit n: the counter n below the mark did not come yet."""
        self.outgoing_ticket = NO_TICKET
        """The ticket that our requests show the peer."""
        self.outgoing_counter = 0
        """That of our last request."""

    def start_window(self, ticket: bytes, counter: int) -> None:
        """Want this ticket from now on, which came with this counter first."""
        self.expected_ticket = ticket
        self.highest_counter = self.window_top = counter
        self.window_missing = _ALL_MISSING

    def check_counter(self, counter: int) -> DropReason | None:
        """Take in a counter that came with the ticket; the reason where it can't be new."""
        skipped = counter - self.highest_counter - 1
        if skipped >= 0:
            # So late that they are out of the window, none is waited for.
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
    """The sessions of a node by the peers' endpoints. Only who has a key can begin one."""

    __slots__ = ("_by_endpoint", "_limit", "_rng", "_secret", "get")

    def __init__(self, rng: random.Random, limit: int = MAX_SESSIONS) -> None:
        """``rng`` must not be guessed: all tickets come of it."""
        self._rng = rng
        self._limit = limit
        self._by_endpoint: dict[Endpoint, Session] = {}
        self.get = self._by_endpoint.get
        """The session with an endpoint, or None."""
        self._secret = rng.randbytes(_SECRET_BYTES)

    def __len__(self) -> int:
        return len(self._by_endpoint)

    # Requests that come in.

    def check(self, endpoint: Endpoint, request: bytes) -> DropReason | None:
        """Take in a request that ends with ticket and counter: None where it is a new one;
        ``replayed`` where it came before; ``unproven`` where that can't be told: challenge it."""
        ticket, counter = _unpack_trailer(request, -TRAILER.size)
        session = self.get(endpoint)
        if session is None or ticket != session.expected_ticket:
            return self._check_new_ticket(session, endpoint, ticket, counter)
        if counter == session.highest_counter + 1:  # nearly always
            session.highest_counter = counter
            return None
        return session.check_counter(counter)

    def _check_new_ticket(
        self, session: Session | None, endpoint: Endpoint, ticket: bytes, counter: int
    ) -> DropReason | None:
        """The same of a ticket that the endpoint has not shown yet: a challenge's, if new."""
        if ticket != self.ticket_for(endpoint):
            return DropReason.UNPROVEN
        session = session or self._add(endpoint)
        session.start_window(ticket, counter)
        session.last_proven_ticket = ticket
        if session.outgoing_ticket == NO_TICKET:  # what it counts from is chance, and new to it
            session.outgoing_ticket, session.outgoing_counter = (
                _ticket_of_counter(counter),
                self._random_counter(),
            )
        return None

    def ticket_for(self, endpoint: Endpoint) -> bytes:
        """The ticket that the next challenge to an endpoint gives it.

        It stays the same until it is shown, so a challenge takes no memory; and none comes
        twice: what it is made of has changed by then.
        """
        session = self.get(endpoint)
        previous = session.last_proven_ticket if session is not None else b""
        material = b"%b %b %d" % (previous, endpoint[0].encode(), endpoint[1])
        return hashlib.blake2b(material, key=self._secret, digest_size=TICKET_BYTES).digest()

    # Requests that go out.

    def adopt_ticket(self, endpoint: Endpoint, ticket: bytes) -> None:
        """Show this ticket from now on, as a challenge from there says."""
        session = self.get(endpoint) or self._add(endpoint)
        if session.outgoing_ticket == NO_TICKET:
            session.outgoing_counter = self._random_counter()
        session.outgoing_ticket = ticket
        if not session.expected_ticket:  # the peer sees that counter first, and may show it
            session.expected_ticket = _ticket_of_counter(session.outgoing_counter + 1)

    def _random_counter(self) -> int:
        """What to count from: from chance, since the next one is a ticket for the peer; of 62
        bits, so that it never ends."""
        return int.from_bytes(self._rng.randbytes(8)) >> 2

    def _add(self, endpoint: Endpoint) -> Session:
        if len(self._by_endpoint) >= self._limit:
            for each in list(islice(self._by_endpoint, (self._limit + 1) // 2)):
                del self._by_endpoint[each]
            # Of whom nothing is known any more, no ticket may be made that was there before.
            self._secret = self._rng.randbytes(_SECRET_BYTES)
        session = self._by_endpoint[endpoint] = Session()
        return session


class ChallengeRetries:
    """Which tickets the requests in flight were repeated with: each once, and a few at most."""

    __slots__ = ("_by_rpc_id",)

    def __init__(self) -> None:
        self._by_rpc_id: dict[bytes, tuple[bytes, ...]] = {}

    def __len__(self) -> int:
        return len(self._by_rpc_id)

    def is_allowed(self, rpc_id: bytes, ticket: bytes) -> bool:
        """Whether a request may be repeated with a ticket."""
        tickets = self._by_rpc_id.get(rpc_id, ())
        return ticket not in tickets and len(tickets) < MAX_RETRIES

    def record(self, rpc_id: bytes, ticket: bytes) -> None:
        """It is repeated with that."""
        by_rpc_id = self._by_rpc_id
        if rpc_id not in by_rpc_id and len(by_rpc_id) >= MAX_TRACKED_RETRIES:
            del by_rpc_id[next(iter(by_rpc_id))]
        by_rpc_id[rpc_id] = (*by_rpc_id.get(rpc_id, ()), ticket)


def _ticket_of_counter(counter: int) -> bytes:
    return counter.to_bytes(8)
