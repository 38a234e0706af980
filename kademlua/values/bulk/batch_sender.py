"""BatchSender: the stores of a bulk operation to one holder, one request after another."""

from __future__ import annotations

from typing import Any, Final

from gevent.event import AsyncResult

from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError, NodeClosed, RpcTimeout, TooManyCalls, WireError
from kademlua.core.pending_calls import PendingCall
from kademlua.core.wire import replies
from kademlua.core.wire.replies import Refusal
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.call_options import CallOptions, EncodedRequest
from kademlua.rpc.client import RpcClient
from kademlua.values.bulk.entry import Entry
from kademlua.values.bulk.tally import Tally
from kademlua.values.writer import ValueWriter

_MIN_RTO: Final = 0.005
"""Lower bound of the RTO of a store, in seconds: the callee may wait for a disk."""


class BatchSender:
    """Sends entries to holders, and records the results in their reports."""

    def __init__(
        self, client: RpcClient, liveliness: LivelinessManager, writer: ValueWriter
    ) -> None:
        self._client = client
        self._liveliness = liveliness
        self._writer = writer

    def send(
        self, holder: Contact, entries: list[Entry], token: tuple[bytes, bytes], tally: Tally
    ) -> bool:
        """Store all entries at a holder, and block this greenlet until that is done.

        ``token`` is a write token of the holder, after the key for which it was given. Return
        whether the holder replied. If it does not, it gets no further requests.

        Raises:
            NodeClosed: The node is closed.
        """
        for position, entry in enumerate(entries):
            result = self._send_store(holder, entry, token)
            tally.stores += 1
            if isinstance(result, NodeClosed):
                raise result
            if isinstance(result, RpcTimeout):
                self._liveliness.on_timeout(holder)
                for each in entries[position:]:
                    each.report.timed_out.append(holder)
                return False
            self._record(holder, entry, result)
        return True

    def _send_store(
        self, holder: Contact, entry: Entry, token: tuple[bytes, bytes]
    ) -> list[Any] | KademluaError:
        key, write_token = token
        own_token = write_token if key == entry.arguments.key else b""
        encode_for = self._writer.store_encoder(entry.arguments)
        return self._call(holder, encode_for(holder, own_token))

    def _call(self, holder: Contact, request: EncodedRequest) -> list[Any] | KademluaError:
        """Return the result of a request, or its error."""
        outcome: AsyncResult[list[Any] | KademluaError] = AsyncResult()
        liveliness = self._liveliness
        # The holder may validate this address before it replies.
        patience = 1 if liveliness.is_validated_at(holder) else 2
        rto = patience * liveliness.rto_estimator.rto_for(holder, _MIN_RTO)
        timeout = liveliness.rto_estimator.timeout_for(rto)
        alias = liveliness.versions.alias_for(holder)
        options = CallOptions(timeout, _on_late, rto, 0, alias)

        def on_done(_: PendingCall, result: list[Any] | KademluaError) -> None:
            outcome.set(result)

        try:
            self._client.send(holder.endpoint, holder, request, on_done, options)
        except (TooManyCalls, NodeClosed) as error:
            return error
        result = outcome.get()
        assert result is not None
        return result

    def _record(self, holder: Contact, entry: Entry, result: list[Any] | KademluaError) -> None:
        refusal = self._refusal(result)
        if refusal is None:
            entry.report.acknowledged.append(holder)
            return
        entry.report.refused.append((holder, refusal.reason))
        if refusal.newest_seq:
            entry.report.newer_seqs.append(refusal.newest_seq)

    def _refusal(self, result: list[Any] | KademluaError) -> Refusal | None:
        """Return why a store was not acknowledged, or None if it was."""
        if isinstance(result, KademluaError):
            return Refusal(str(result))
        try:
            return replies.decode_store_reply(result)
        except WireError as error:
            self._client.count_malformed_reply(error)
            return Refusal(str(error))


def _on_late(_: PendingCall) -> None:
    """Do nothing: the client retransmits."""
