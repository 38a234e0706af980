"""Mail: messages that a node stores for one reader, and the inboxes that its program reads."""

from __future__ import annotations

import math
from collections import deque
from hashlib import sha256
from itertools import repeat
from typing import Any, Final

from gevent.lock import BoundedSemaphore

from kademlua.core.errors import StoreFailed, WireError
from kademlua.core.results import Mail, StoreReport
from kademlua.core.values.validation import validate_ttl, validate_value
from kademlua.core.wire import replies
from kademlua.crypto import mail
from kademlua.crypto.mail import MailReader, OpenedMail
from kademlua.crypto.signing import Signer, SigningKey
from kademlua.node.values import Values
from kademlua.node.watches import Watches
from kademlua.runtime.context import Context
from kademlua.runtime.time_slices import in_slices
from kademlua.values.watch.subscription import Subscription

MAX_REMEMBERED: Final = 65_536
"""Messages that an inbox remembers, so that it shows none twice."""
_LIST_BYTES: Final = len(b"l12345:e")
"""What bencoding adds to the only message of a list."""


class _Sent:
    """What this node has sent to one address. All of it is one value, since a node has one value
    of a key; each message is sealed by itself."""

    __slots__ = ("lock", "messages", "users")

    def __init__(self) -> None:
        self.lock = BoundedSemaphore()
        """Held during a store: a concurrent one could bring back a list without this message."""
        self.messages: list[tuple[float, bytes]] = []
        """When each message expires, and its sealed form; the oldest first."""
        self.users = 0
        """Operations that have or await the lock."""


class Inbox:
    """The mail of one reader that has arrived and was not taken yet."""

    __slots__ = ("_remembered", "opened", "reader", "subscription", "unopened")

    def __init__(self, signing_key: SigningKey) -> None:
        """Raise CryptoUnavailable or TypeError as ``put_for`` does."""
        if not isinstance(signing_key, SigningKey):
            raise TypeError(f"an inbox needs a SigningKey, not {type(signing_key).__name__}")
        self.reader = MailReader(signing_key)
        self.subscription = Subscription(mail.mailbox_key(self.reader.address))
        self.unopened: deque[Any] = deque()
        """What may be messages."""
        self.opened: deque[Mail] = deque()
        self._remembered: dict[bytes, None] = {}

    def pop(self) -> Mail | None:
        """Return the next message; None if there is none now. Any thread may call it."""
        try:
            return self.opened.popleft()
        except IndexError:
            return None

    def is_new(self, opened: OpenedMail) -> bool:
        """Return whether a message is met for the first time, and remember it."""
        time = opened.microseconds.to_bytes(8)
        digest = sha256(opened.sender + time + opened.message).digest()
        if digest in self._remembered:
            return False
        if len(self._remembered) >= MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = None
        return True


class Mailboxes:
    """The part of a node that sends and receives mail."""

    __slots__ = ("_context", "_last_microseconds", "_sent_by_key", "_values", "_watches")

    def __init__(self, context: Context, values: Values, watches: Watches) -> None:
        self._context = context
        self._values = values
        self._watches = watches
        self._sent_by_key: dict[bytes, _Sent] = {}
        self._last_microseconds = 0

    def put_for(
        self, address: bytes, value: Any, signer: Signer, *, ttl: float | None = None
    ) -> StoreReport:
        """Sign a value, encrypt it to one reader, and store it where the reader's inbox looks.

        It stays for ``ttl`` seconds, default ``Params.ttl``, next to earlier messages of this node.

        Args:
            address: What ``mail_address`` returns for the reader's signing key.
            signer: The sender, which the reader sees: a SigningKey, or another object with its
                methods.

        Raises:
            StoreFailed: as for ``add``; also if ``Params.max_value_bytes`` are used up by earlier
                messages of this node to the address.
            CryptoUnavailable: ``cryptography`` is not installed, or older than version 47.
            NotJoined, TooManyCalls, NodeClosed, TypeError, ValueError: see ``add``.
        """
        key, params = mail.mailbox_key(address), self._context.params
        ttl_seconds = validate_ttl(ttl, params)
        encoded = validate_value(value, params)
        limit = mail.max_message_bytes(params.max_value_bytes - _LIST_BYTES)
        if len(encoded) > limit:
            raise ValueError(
                f"a message has at most {limit:,} bytes, bencoded; this one has {len(encoded):,}"
            )
        sealed = mail.seal(address, encoded, signer, self._next_microseconds())
        self._forget_expired()
        sent = self._sent_by_key.setdefault(key, _Sent())
        sent.users += 1
        try:
            with sent.lock:
                return self._store(key, sent, sealed, ttl_seconds)
        finally:
            sent.users -= 1

    def open_inbox(self, inbox: Inbox) -> None:
        """Begin to watch for the mail of an inbox; NodeClosed if the node is not running."""
        self._watches.subscribe(inbox.subscription)

    def close_inbox(self, inbox: Inbox) -> None:
        """End an inbox. Idempotent."""
        self._watches.unsubscribe(inbox.subscription)

    def wait_for_mail(self, inbox: Inbox, timeout: float | None = None) -> bool:
        """Block until there is a message; return False after ``timeout`` seconds, or at the end.

        It takes no message, so that none is lost if the caller is cancelled. It begins to watch if
        that was not done.
        """
        clock = self._context.clock
        deadline, remaining = clock() + (timeout or 0), timeout
        while not self._open_next(inbox):
            if remaining is not None and remaining < 0:
                return False
            while (change := inbox.subscription.pop()) is None:
                if not self._watches.wait(inbox.subscription, remaining):
                    return False
            if isinstance(change.value, list):
                inbox.unopened.extend(change.value)
            if timeout is not None:
                remaining = deadline - clock()
        return True

    def _open_next(self, inbox: Inbox) -> bool:
        """Open what may be messages up to the first one that is; return False if none is."""
        for _ in in_slices(repeat(None), self._context.clock):
            if not inbox.unopened:
                break
            found = self._open(inbox, inbox.unopened.popleft())
            if found is not None:
                inbox.opened.append(found)
                return True
        return False

    def _store(self, key: bytes, sent: _Sent, sealed: bytes, ttl: int) -> StoreReport:
        """Store a message with the earlier ones that have not expired."""
        now, limit = self._context.clock(), self._context.params.max_value_bytes
        live = [each for each in sent.messages if each[0] > now]
        messages = [*live, (now + ttl, sealed)]
        if len(replies.encode_value([each for _, each in messages])) > limit:
            raise StoreFailed(
                f"the earlier messages to this address leave no room; the first of them expires"
                f" in {live[0][0] - now:.0f} s"
            )
        longest = math.ceil(max(expires_at for expires_at, _ in messages) - now)
        report = self._values.add(key, [each for _, each in messages], ttl=longest)
        sent.messages = messages
        return report

    def _open(self, inbox: Inbox, sealed: Any) -> Mail | None:
        """Return a genuine message that is new; None for anything else."""
        opened = inbox.reader.open(sealed)
        if opened is None:
            return None
        sent_at = opened.microseconds / 1e6
        if sent_at < self._context.wall_clock() - self._context.params.max_ttl:
            return None  # no value lives for so long: it was stored again
        if not inbox.is_new(opened):
            return None
        try:
            return Mail(opened.sender, sent_at, replies.decode_value(opened.message))
        except WireError:  # the sender signed what is no value
            return None

    def _next_microseconds(self) -> int:
        """Return the time, and a later one for each message, so that no two are alike."""
        now = int(self._context.wall_clock() * 1e6)
        self._last_microseconds = max(now, self._last_microseconds + 1)
        return self._last_microseconds

    def _forget_expired(self) -> None:
        now = self._context.clock()
        for key, sent in list(self._sent_by_key.items()):
            if not sent.users and all(each[0] <= now for each in sent.messages):
                del self._sent_by_key[key]
