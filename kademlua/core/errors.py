"""The errors of Kademlua: one family, so that ``except KademluaError`` is enough."""

from __future__ import annotations

from kademlua.core.reasons import DropReason


class KademluaError(Exception):
    """Whatever Kademlua raises on purpose is one of these."""


class WireError(KademluaError):
    """The peer's fault: bytes that are no packet of this protocol.

    ``reason`` is a short, fixed word under which the packet is counted; no part of
    a stranger's bytes goes into it.
    """

    def __init__(self, reason: DropReason) -> None:
        super().__init__(reason)
        self.reason = reason


class RpcTimeout(KademluaError, TimeoutError):
    """A call's deadline passed without an answer."""


class RpcFailed(KademluaError):
    """The peer answered that it can't: ``code`` 130, it has no such RPC; 131, it raised."""

    def __init__(self, code: int) -> None:
        super().__init__(
            "the peer has no such RPC (130)" if code == 130 else f"the RPC raised an error ({code})"
        )
        self.code = code


class BadArguments(KademluaError):
    """A handler raises it to answer 131 with intent: the arguments make no sense."""


class TooManyCalls(KademluaError):
    """So many calls are in flight that one more is not begun (``Params.max_calls``)."""


class StoreRefused(KademluaError):
    """A value is not taken; ``reason`` says why, in words that go to the peer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StoreFailed(KademluaError):
    """Fewer nodes than ``Params.write_quorum`` took the value, mostly none at all; the message
    says what became of the attempts, ``report`` (a StoreReport) at each node."""

    def __init__(self, message: str, report: object = None) -> None:
        super().__init__(message)
        self.report = report


class RecordRefused(KademluaError):
    """A record that proves itself is not taken, or not believed.

    ``reason`` says why, in words that go to the peer; ``report`` is the StoreReport where it was
    to be stored.
    """

    default_reason = "record refused"
    """The reason where none is given."""

    def __init__(self, reason: str = "", report: object = None) -> None:
        super().__init__(reason or self.default_reason)
        self.reason = reason or self.default_reason
        self.report = report


class RecordForged(RecordRefused):
    """It is not what the key stands for: another's, signed by nobody, or against the rules."""

    default_reason = "forged record"


class RecordExpired(RecordRefused):
    """The time that its signer set is over."""

    default_reason = "expired record"


class RecordStale(RecordRefused):
    """There is one with this sequence number, or with a higher one."""

    default_reason = "stale record"


class CasMismatch(RecordRefused):
    """Compare and swap: the sequence number that was to be replaced is not the one there."""

    default_reason = "not the sequence number to be replaced"


class CryptoUnavailable(RecordRefused):
    """Signatures need the library ``cryptography``, which is not installed here."""

    default_reason = "signatures can't be verified here"

    def __str__(self) -> str:
        return "signatures need the extra crypto: pip install 'kademlua[crypto]'"


class NotJoined(KademluaError):
    """Nobody answered at the bootstrap addresses, so there is no network to ask."""


class ParamsError(KademluaError, ValueError):
    """A parameter is unknown, of the wrong type or out of range; the message names it."""


class KeyFileError(KademluaError):
    """A key's file can't be used; the message names it, and says nothing of the key."""


class StorageError(KademluaError):
    """A data directory can't be used; the message is one line and names the file."""


class NodeClosed(KademluaError):
    """The node was closed: what waited for it ends, and nothing new begins."""
