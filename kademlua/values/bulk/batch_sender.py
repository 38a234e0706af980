"""BatchSender: the stores of a bulk operation to one holder, one request after another."""

from __future__ import annotations

from typing import Any, Final

from kademlua.core.contact import Contact
from kademlua.core.errors import (
    CallInterrupted,
    KademluaError,
    NodeClosed,
    RpcFailed,
    RpcTimeout,
    TooManyCalls,
    WireError,
)
from kademlua.core.wire import replies, requests, store_many
from kademlua.core.wire.replies import Refusal
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.client import RpcClient
from kademlua.values.bulk.entry import Entry
from kademlua.values.bulk.holder_calls import HolderCalls
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


class BatchSender:
    """Sends entries to holders, and records the results in their reports."""

    def __init__(
        self, client: RpcClient, liveliness: LivelinessManager, writer: ValueWriter
    ) -> None:
        self._client = client
        self._liveliness = liveliness
        self._writer = writer
        self._calls = HolderCalls(client, liveliness)

    def send(
        self,
        holder: Contact,
        entries: list[Entry],
        token: tuple[bytes, bytes],
        window: Window,
        job: Job,
    ) -> None:
        """Store all entries at a holder, and block this greenlet until that is done.

        If the holder does not reply, or refuses all values of several requests, it gets no further
        ones. ``token`` is a write token of the holder, after the key for which it was given.
        ``window`` learns how long requests take, ``job`` says when the next one may be sent.

        Raises:
            NodeClosed: The node is closed.
        """
        position = 0
        while position < len(entries):
            refusal = job.refusal_of(holder)
            if refusal is not None:
                for each in entries[position:]:
                    each.report.refused.append((holder, refusal))
                return
            batch = self._take_batch(holder, entries[position:])
            values = sum([len(each.arguments.encoded) + _ENTRY_BYTES for each in batch])
            job.wait(values + STORE_OVERHEAD_BYTES)
            flight = window.begin()
            if len(batch) == 1:
                result = self._send_store(holder, batch[0], token)
            else:
                result = self._send_batch(holder, batch, token)
            job.tally.requests += 1
            window.end(flight, is_lost=isinstance(result, RpcTimeout))
            if isinstance(result, NodeClosed):
                raise result
            if isinstance(result, CallInterrupted):  # says nothing about the holder
                continue
            if isinstance(result, RpcTimeout):
                self._liveliness.on_timeout(holder)
                for each in entries[position:]:
                    each.report.timed_out.append(holder)
                return
            if len(batch) > 1 and isinstance(result, RpcFailed):  # it has no such RPC
                self._calls.remember_without_rpc(holder)
                continue
            position += len(batch)
            refusals = self._refusals(result, len(batch))
            self._record(holder, batch, refusals)
            if not isinstance(result, TooManyCalls):
                job.on_result(holder, refusals)

    def _take_batch(self, holder: Contact, entries: list[Entry]) -> list[Entry]:
        """Return the entries of the next request: as many as a datagram has space for."""
        if not self._calls.has_rpc(holder):
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
        return self._calls.call(holder, encode_for(holder, own_token))

    def _send_batch(
        self, holder: Contact, batch: list[Entry], token: tuple[bytes, bytes]
    ) -> list[Any] | KademluaError:
        key, write_token = token
        stores = [
            requests.encode_store_args(self._writer.arguments_for(holder, each.arguments))
            for each in batch
        ]
        args = requests.encode_store_many_args(key or batch[0].arguments.key, stores, write_token)
        return self._calls.call(holder, self._client.encode("storemany", args))

    def _record(self, holder: Contact, batch: list[Entry], refusals: list[Refusal | None]) -> None:
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
