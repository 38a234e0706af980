"""The errors of Kademlua; ``except KademluaError`` catches all of them."""

from __future__ import annotations

from kademlua.core.reasons import DropReason


class KademluaError(Exception):
    """The base of all errors that Kademlua raises on purpose."""


class WireError(KademluaError):
    """A peer sent bytes that are no packet of this protocol.

    ``reason`` is the word under which the packet is counted; it contains no bytes of the peer.
    """

    def __init__(self, reason: DropReason) -> None:
        super().__init__(reason)
        self.reason = reason


class RpcTimeout(KademluaError, TimeoutError):
    """No reply arrived before the deadline of a call."""


class CallInterrupted(RpcTimeout):
    """The node was paused while a call was in flight; this says nothing about the peer."""


class RpcFailed(KademluaError):
    """The peer replied with an error: 130, it has no such RPC, or 131, the RPC raised an error."""

    def __init__(self, code: int) -> None:
        super().__init__(
            "the peer has no such RPC (130)" if code == 130 else f"the RPC raised an error ({code})"
        )
        self.code = code


class BadArguments(KademluaError):
    """Raised by a handler to answer with error 131: the arguments are invalid."""


class TooManyCalls(KademluaError):
    """``Params.max_calls`` calls are in flight."""


class StoreRefused(KademluaError):
    """A value is refused; ``reason`` is text that is sent to the peer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StoreFailed(KademluaError):
    """Fewer nodes than ``Params.write_quorum`` stored the value.

    ``report`` is the StoreReport, with the result at each node.
    """

    def __init__(self, message: str, report: object = None) -> None:
        super().__init__(message)
        self.report = report


class NothingToRemove(StoreFailed):
    """No node has a value of the owner under the key."""


class StaleValue(StoreRefused):
    """The owner stored or removed a newer value; ``newest_seq`` is its sequence number."""

    def __init__(self, newest_seq: int) -> None:
        super().__init__("a newer value is stored")
        self.newest_seq = newest_seq


class ConflictingValue(StoreRefused):
    """A transferred value differs from the one that is stored, and claims to be newer."""

    def __init__(self) -> None:
        super().__init__("another value of its owner is stored")


class RecordRefused(KademluaError):
    """A record is refused by a holder, or rejected by a reader.

    ``reason`` is text that is sent to the peer; ``report`` the StoreReport of a failed store.
    """

    default_reason = "record refused"
    """The reason if none is given."""

    def __init__(self, reason: str = "", report: object = None) -> None:
        super().__init__(reason or self.default_reason)
        self.reason = reason or self.default_reason
        self.report = report


class RecordForged(RecordRefused):
    """The record does not prove that it belongs to its key."""

    default_reason = "forged record"


class RecordExpired(RecordRefused):
    """The record has passed the expiry time that its signer set."""

    default_reason = "expired record"


class RecordStale(RecordRefused):
    """The holder has a record with this or a higher sequence number."""

    default_reason = "stale record"


class CasMismatch(RecordRefused):
    """Compare and swap: the holder's record has another sequence number than the expected one."""

    default_reason = "not the sequence number to be replaced"


class CryptoUnavailable(RecordRefused):
    """Signatures and encryption need the library ``cryptography``, which is not installed."""

    default_reason = "signatures can't be verified here"

    def __str__(self) -> str:
        return "signatures and encryption need another package; run: pip install 'cryptography>=47'"


class NotJoined(KademluaError):
    """No node replied at the bootstrap addresses."""


class ParamsError(KademluaError, ValueError):
    """A parameter is unknown, of the wrong type or out of range; the message names it."""


class KeyFileError(KademluaError):
    """A key file cannot be used; the message names the file and shows nothing of the key."""


class PassphraseRequired(KeyFileError):
    """A passphrase protects the key file, and none was given."""


class StorageError(KademluaError):
    """A data directory cannot be used; the message is one line and names the file."""


class NodeClosed(KademluaError):
    """The node is closed: waiting operations end, and new ones do not start."""
