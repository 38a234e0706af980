"""BatchSender: the stores of a bulk operation to one holder, one request after another."""

from __future__ import annotations

from typing import Any, Final

from gevent.event import AsyncResult

from kademlua.core.contact import Contact
from kademlua.core.errors import (
    KademluaError,
    NodeClosed,
    RpcFailed,
    RpcTimeout,
    TooManyCalls,
    WireError,
)
from kademlua.core.pending_calls import PendingCall
from kademlua.core.wire import replies, requests, store_many
from kademlua.core.wire.replies import Refusal
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.call_options import CallOptions, EncodedRequest
from kademlua.rpc.client import RpcClient
from kademlua.values.bulk.entry import Entry
from kademlua.values.bulk.job import Job
from kademlua.values.bulk.window import Window
from kademlua.values.pacing import STORE_OVERHEAD_BYTES
from kademlua.values.writer import ValueWriter

_MAX_BATCH_BYTES: Final = 1_040
"""Bytes of the stores in a request, so that it passes unfragmented in a datagram of 1,200 bytes."""
_ENTRY_BYTES: Final = 64
"""Bytes of a store in a request besides its value, at most."""
_PROVEN_ENTRY_BYTES: Final = 180
"""The same with a proof that the sender owns values at other addresses."""
_MAX_REMEMBERED: Final = 4_096
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
        self._without_many: dict[bytes, None] = {}
        """Ids of holders without storemany; the oldest are forgotten."""

    def send(
        self,
        holder: Contact,
        entries: list[Entry],
        token: tuple[bytes, bytes],
        window: Window,
        job: Job,
    ) -> None:
        """Store all entries at a holder, and block this greenlet until that is done.

        If the holder does not reply, it gets no further requests. ``token`` is a write token of
        the holder, after the key for which it was given. ``window`` learns how long requests take,
        ``job`` says when the next one may be sent.

        Raises:
            NodeClosed: The node is closed.
        """
        position = 0
        while position < len(entries):
            batch = self._take_batch(holder, entries[position:])
            values = sum([len(each.arguments.encoded) + _ENTRY_BYTES for each in batch])
            job.wait(values + STORE_OVERHEAD_BYTES)
            flight = window.begin()
            if len(batch) == 1:
                result = self._send_store(holder, batch[0], token)
            else:
                result = self._send_batch(holder, batch, token)
            job.tally.stores += 1
            window.end(flight, is_lost=isinstance(result, RpcTimeout))
            if isinstance(result, NodeClosed):
                raise result
            if isinstance(result, RpcTimeout):
                self._liveliness.on_timeout(holder)
                for each in entries[position:]:
                    each.report.timed_out.append(holder)
                return
            if len(batch) > 1 and isinstance(result, RpcFailed):  # it has no such RPC
                self._remember_without_many(holder)
                continue
            position += len(batch)
            self._record(holder, batch, result)

    def _remember_without_many(self, holder: Contact) -> None:
        self._without_many[holder.id] = None
        if len(self._without_many) > _MAX_REMEMBERED:
            del self._without_many[next(iter(self._without_many))]

    def _take_batch(self, holder: Contact, entries: list[Entry]) -> list[Entry]:
        """Return the entries of the next request: as many as a datagram has space for."""
        if self._liveliness.versions.is_v10(holder) or holder.id in self._without_many:
            return entries[:1]
        size = count = 0
        for entry in entries[: store_many.MAX_ENTRIES]:
            size += len(entry.arguments.encoded) + self._entry_overhead
            if size > _MAX_BATCH_BYTES:
                break
            count += 1
        return entries[: max(count, 1)]

    @property
    def _entry_overhead(self) -> int:
        return _PROVEN_ENTRY_BYTES if self._writer.needs_proof else _ENTRY_BYTES

    def _send_store(
        self, holder: Contact, entry: Entry, token: tuple[bytes, bytes]
    ) -> list[Any] | KademluaError:
        key, write_token = token
        own_token = write_token if key == entry.arguments.key else b""
        encode_for = self._writer.store_encoder(entry.arguments)
        return self._call(holder, encode_for(holder, own_token))

    def _send_batch(
        self, holder: Contact, batch: list[Entry], token: tuple[bytes, bytes]
    ) -> list[Any] | KademluaError:
        key, write_token = token
        stores = [
            requests.encode_store_args(self._writer.arguments_for(holder, each.arguments))
            for each in batch
        ]
        args = requests.encode_store_many_args(key or batch[0].arguments.key, stores, write_token)
        return self._call(holder, self._client.encode("storemany", args))

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

    def _record(
        self, holder: Contact, batch: list[Entry], result: list[Any] | KademluaError
    ) -> None:
        refusals = self._refusals(result, len(batch))
        for entry, refusal in zip(batch, refusals, strict=True):
            if refusal is None:
                entry.report.acknowledged.append(holder)
                continue
            entry.report.refused.append((holder, refusal.reason))
            if refusal.newest_seq:
                entry.report.newer_seqs.append(refusal.newest_seq)

    def _refusals(self, result: list[Any] | KademluaError, count: int) -> list[Refusal | None]:
        """Return for each store why it was not acknowledged, or None if it was."""
        try:
            if isinstance(result, KademluaError):
                return [Refusal(str(result))] * count
            if count == 1:
                return [replies.decode_store_reply(result)]
            return store_many.decode_reply(result, count)
        except WireError as error:
            self._client.count_malformed_reply(error)
            return [Refusal(str(error))] * count


def _on_late(_: PendingCall) -> None:
    """Do nothing: the client retransmits."""
