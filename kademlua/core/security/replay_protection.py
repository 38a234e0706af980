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
MAX_REPEATS = 3
"""Of one request. Each takes another ticket, so a recorded challenge brings forth none."""
MAX_CHALLENGED = 256
"""Requests of which it is remembered that they were repeated."""

_ALL_BELOW = (1 << WINDOW) - 2
"""As a session's ``missing``: of the window only the mark itself came."""
_SECRET_BYTES = 32
_trailer_of = TRAILER.unpack_from


class Session:
    """What a node and one peer have shown each other."""

    __slots__ = ("counter", "mark", "missing", "newest", "ours", "proven", "wanted")

    def __init__(self) -> None:
        self.wanted = b""
        """The ticket that the peer's requests have to show; empty where there is none yet."""
        self.proven = b""
        """The last ticket of a challenge of ours that it showed: what the next is made of."""
        self.newest = 0
        """The highest counter that came with the ticket."""
        self.mark = 0
        """The highest one when some were last left out; from there to the newest all came."""
        self.missing = 0
        """Bit n: the counter n below the mark did not come yet."""
        self.ours = NO_TICKET
        """The ticket that our requests show the peer."""
        self.counter = 0
        """That of our last request."""

    def begin_at(self, ticket: bytes, counter: int) -> None:
        """Want this ticket from now on, which came with this counter first."""
        self.wanted = ticket
        self.newest = self.mark = counter
        self.missing = _ALL_BELOW

    def why_not(self, counter: int) -> DropReason | None:
        """Take in a counter that came with the ticket; the reason where it can't be new."""
        left_out = counter - self.newest - 1
        if left_out >= 0:
            # So late that they are out of the window, none is waited for.
            known = self.missing << min(counter - self.mark, WINDOW)
            self.missing = (known | (2 << min(left_out, WINDOW)) - 2) & _ALL_BELOW
            self.newest = self.mark = counter
            return None
        below = self.mark - counter
        if self.newest - counter >= WINDOW or below < 0 or not self.missing >> below & 1:
            return DropReason.REPLAYED
        self.missing ^= 1 << below
        return None


class Sessions:
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

    def why_not(self, endpoint: Endpoint, request: bytes) -> DropReason | None:
        """Take in a request that ends with ticket and counter: None where it is a new one;
        ``replayed`` where it came before; ``unproven`` where that can't be told: challenge it."""
        ticket, counter = _trailer_of(request, -TRAILER.size)
        session = self.get(endpoint)
        if session is None or ticket != session.wanted:
            return self._why_not_begun(session, endpoint, ticket, counter)
        if counter == session.newest + 1:  # nearly always
            session.newest = counter
            return None
        return session.why_not(counter)

    def _why_not_begun(
        self, session: Session | None, endpoint: Endpoint, ticket: bytes, counter: int
    ) -> DropReason | None:
        """The same of a ticket that the endpoint has not shown yet: a challenge's, if new."""
        if ticket != self.ticket(endpoint):
            return DropReason.UNPROVEN
        session = session or self._begin(endpoint)
        session.begin_at(ticket, counter)
        session.proven = ticket
        if session.ours == NO_TICKET:  # what it counts from is chance, and new to it
            session.ours, session.counter = _counter_bytes(counter), self._chance()
        return None

    def ticket(self, endpoint: Endpoint) -> bytes:
        """The ticket that the next challenge to an endpoint gives it.

        It stays the same until it is shown, so a challenge takes no memory; and none comes
        twice: what it is made of has changed by then.
        """
        session = self.get(endpoint)
        former = session.proven if session is not None else b""
        text = b"%b %b %d" % (former, endpoint[0].encode(), endpoint[1])
        return hashlib.blake2b(text, key=self._secret, digest_size=TICKET_BYTES).digest()

    # Requests that go out.

    def take(self, endpoint: Endpoint, ticket: bytes) -> None:
        """Show this ticket from now on, as a challenge from there says."""
        session = self.get(endpoint) or self._begin(endpoint)
        if session.ours == NO_TICKET:
            session.counter = self._chance()
        session.ours = ticket
        if not session.wanted:  # the peer sees that counter first, and may show it
            session.wanted = _counter_bytes(session.counter + 1)

    def _chance(self) -> int:
        """What to count from: from chance, since the next one is a ticket for the peer; of 62
        bits, so that it never ends."""
        return int.from_bytes(self._rng.randbytes(8)) >> 2

    def _begin(self, endpoint: Endpoint) -> Session:
        if len(self._by_endpoint) >= self._limit:
            for each in list(islice(self._by_endpoint, (self._limit + 1) // 2)):
                del self._by_endpoint[each]
            # Of whom nothing is known any more, no ticket may be made that was there before.
            self._secret = self._rng.randbytes(_SECRET_BYTES)
        session = self._by_endpoint[endpoint] = Session()
        return session


class Repeats:
    """Which tickets the requests in flight were repeated with: each once, and a few at most."""

    __slots__ = ("_by_rpc_id",)

    def __init__(self) -> None:
        self._by_rpc_id: dict[bytes, tuple[bytes, ...]] = {}

    def __len__(self) -> int:
        return len(self._by_rpc_id)

    def may(self, rpc_id: bytes, ticket: bytes) -> bool:
        """Whether a request may be repeated with a ticket."""
        shown = self._by_rpc_id.get(rpc_id, ())
        return ticket not in shown and len(shown) < MAX_REPEATS

    def note(self, rpc_id: bytes, ticket: bytes) -> None:
        """It is repeated with that."""
        noted = self._by_rpc_id
        if rpc_id not in noted and len(noted) >= MAX_CHALLENGED:
            del noted[next(iter(noted))]
        noted[rpc_id] = (*noted.get(rpc_id, ()), ticket)


def _counter_bytes(counter: int) -> bytes:
    return counter.to_bytes(8)
