"""Writing to the network: store a value on the nodes closest to its key, or remove it."""

from __future__ import annotations

from collections.abc import Callable

from kademlua.core.contact import Contact
from kademlua.core.errors import (
    NothingToRemove,
    RecordRefused,
    StaleValue,
    StoreFailed,
    StoreRefused,
)
from kademlua.core.ids import to_int
from kademlua.core.reasons import Purpose
from kademlua.core.results import StoreReport
from kademlua.core.routing.replica_set import is_replica
from kademlua.core.values.sequence import SequenceNumbers
from kademlua.core.values.store import StoreEntry
from kademlua.core.wire import replies, requests
from kademlua.core.wire.requests import RemoveArguments, StoreArguments
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.search_options import SearchOptions
from kademlua.lookup.service import LookupService
from kademlua.rpc.call_options import EncodedRequest
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context
from kademlua.runtime.durability import wait_durable
from kademlua.values.admission import AdmissionPolicy, remove_with_tombstone
from kademlua.values.early_stores import EarlyStores
from kademlua.values.fan_out import EncodeFor, FanOut, FanOutOptions
from kademlua.values.ownership import OwnershipProver


class ValueWriter:
    """Stores and removes values in the network for one node."""

    def __init__(
        self,
        context: Context,
        client: RpcClient,
        liveliness: LivelinessManager,
        lookups: LookupService,
        prover: OwnershipProver,
        on_change: Callable[[bytes], None],
    ) -> None:
        """Prepare; ``on_change`` is called with each key of which this node's store changes."""
        self._context = context
        self._on_change = on_change
        self._client = client
        self._liveliness = liveliness
        self._lookups = lookups
        self._prover = prover
        self._store = context.store
        self._admission = AdmissionPolicy(context.store, context.wall_clock)
        self._params = context.params
        self._sequence = SequenceNumbers()

    def next_seq(self, newer_seqs: list[int] | None = None) -> int:
        """Return the next sequence number, after the ones that holders have from this node."""
        now = self._context.wall_clock()
        for each in newer_seqs or ():
            self._sequence.observe(each, now)
        return self._sequence.next(now)

    def store(
        self,
        arguments: StoreArguments,
        purpose: Purpose = Purpose.STORE,
        *,
        on_extra: Callable[[], None] | None = None,
    ) -> StoreReport:
        """Store a value on the ``replicas`` nodes closest to its key.

        This node may be one of them; if not, it drops its own older value of the key.
        ``purpose`` is the entry of ``Stats.calls_by_purpose`` that counts the requests.
        ``on_extra`` is that of ``FanOutOptions``.

        Raises:
            StoreFailed: Fewer than ``Params.write_quorum`` nodes acknowledged the value.
        """
        key, replicas = arguments.key, self._params.replicas
        options = FanOutOptions(token_query=self._lookups.encode_findnode(key), on_extra=on_extra)
        fan_out = FanOut(self._client, self._liveliness, self.store_encoder(arguments), options)
        nearest = self._lookups.nearest_known(key, replicas)
        lookup_options = self._lookup_options(arguments, nearest, fan_out, purpose)
        network_lookup = self._lookups.run_node_lookup(key, lookup_options, nearest)
        fan_out.add_tokens(network_lookup.write_tokens)
        candidates = network_lookup.lookup.candidates(replicas, fallback_count=replicas)
        is_holder = is_replica(to_int(self._context.id), to_int(key), candidates, replicas)
        remote_count = replicas
        if is_holder and not self._context.is_client:
            remote_count -= 1
            self.store_locally(arguments, fan_out.report)
        report = fan_out.run(candidates[:remote_count], candidates[remote_count:])
        self._context.stats.calls_by_purpose[purpose] += fan_out.sent_count
        if len(report.acknowledged) < self._params.write_quorum:
            raise StoreFailed(report.failure_summary(), report)
        if remote_count == replicas:
            self._store.remove(key, self._context.local_contact)
        return report

    def _lookup_options(
        self,
        arguments: StoreArguments,
        nearest: list[Contact],
        fan_out: FanOut,
        purpose: Purpose,
    ) -> SearchOptions:
        """Return how the replicas are looked up, with early stores if the id density is known."""
        # The closest nodes return the farther replicas. Querying those for write tokens would
        # cost as much as their validating pings, which some of them do not need. Only those that
        # have never replied are queried.
        replicas, path_count = self._params.replicas, self._params.disjoint_paths
        count = (2 * replicas + 4) // 5
        has_v10 = any(self._liveliness.versions.is_v10(each) for each in nearest[:count])
        if self._context.table.density is None or path_count > 1 or has_v10:
            return SearchOptions(
                purpose=purpose, k=count, path_count=path_count, remembers_contacts=True
            )
        encode_query = self.store_encoder(arguments._replace(closest=replicas))
        early = EarlyStores(
            self._context, self._liveliness, fan_out, arguments.key, encode_query, count
        )
        alpha = early.first_concurrency(nearest)
        return SearchOptions(
            purpose=purpose,
            k=replicas,
            alpha=alpha,
            certain_alpha=replicas,
            remembers_contacts=True,
            early=early,
        )

    def remove(self, key: bytes, ttl: int) -> StoreReport:
        """Remove this node's value of a key from all nodes that may hold it.

        The request goes to twice ``replicas`` nodes, since former replicas may still hold it.
        ``ttl`` is the minimum lifetime of the tombstones in seconds.

        Raises:
            NothingToRemove: No node had a value of this node.
            StoreFailed: Nodes refused or did not reply, and no other node removed a value.
        """
        options = SearchOptions(purpose=Purpose.REMOVE, remembers_contacts=True)
        network_lookup = self._lookups.run_node_lookup(key, options)
        recipients = network_lookup.lookup.candidates(2 * self._params.replicas)
        seq = self.next_seq()
        report = self._send_remove(key, ttl, seq, recipients, network_lookup.write_tokens)
        if report.newer_seqs:  # the clock was set back since this node stored the value
            seq = self.next_seq(report.newer_seqs)
            report = self._send_remove(key, ttl, seq, recipients, network_lookup.write_tokens)
        self._remove_locally(key, ttl, seq, report)
        if not report.acknowledged:
            if not report.timed_out and all(
                reason == replies.REASON_NO_VALUE for _, reason in report.refused
            ):
                raise NothingToRemove("no node has a value of this owner", report)
            raise StoreFailed(report.failure_summary("removed the value"), report)
        return report

    def _send_remove(
        self,
        key: bytes,
        ttl: int,
        seq: int,
        recipients: list[Contact],
        write_tokens: dict[Contact, bytes],
    ) -> StoreReport:
        def encode_for(contact: Contact, token: bytes) -> EncodedRequest:
            proof = self._prover.proof(contact, key, seq)
            arguments = RemoveArguments(key, ttl, token, seq, proof)
            return self._client.encode("remove", requests.encode_remove_args(arguments))

        options = FanOutOptions(read_refusal=replies.decode_remove_reply, write_tokens=write_tokens)
        fan_out = FanOut(self._client, self._liveliness, encode_for, options)
        report = fan_out.run(recipients, [])
        self._context.stats.calls_by_purpose[Purpose.REMOVE] += fan_out.sent_count
        return report

    def store_encoder(self, arguments: StoreArguments) -> EncodeFor:
        """Return a function that encodes the store for a contact."""
        shared_request = self._encode_store(arguments)

        def encode_for(contact: Contact, token: bytes) -> EncodedRequest:
            own = self.arguments_for(contact, arguments, token)
            return shared_request if own is arguments else self._encode_store(own)

        return encode_for

    @property
    def needs_proof(self) -> bool:
        """Whether stores prove that this node owns values that it stored at other addresses."""
        return self._prover.is_needed

    def arguments_for(
        self, contact: Contact, arguments: StoreArguments, token: bytes = b""
    ) -> StoreArguments:
        """Return the arguments with a write token, and with a proof for a contact if needed."""
        needs_proof = arguments.seq != 0 and self._prover.is_needed
        if not token and not needs_proof:
            return arguments
        key, seq = arguments.key, arguments.seq
        proof = self._prover.proof(contact, key, seq) if needs_proof else None
        return arguments._replace(token=token, proof=proof)

    def _encode_store(self, arguments: StoreArguments) -> EncodedRequest:
        return self._client.encode("store", requests.encode_store_args(arguments))

    def store_locally(self, arguments: StoreArguments, report: StoreReport) -> None:
        now = self._context.clock()
        local_contact = self._context.local_contact
        entry = StoreEntry(
            arguments.encoded, now + arguments.ttl, received_at=now, seq=arguments.seq
        )
        try:
            self._admission.admit(
                arguments.key,
                local_contact,
                entry,
                overwrite=arguments.overwrite,
                cas=arguments.cas,
            )
            self._on_change(arguments.key)
            if self._context.observers.registered:
                self._context.observers.notify_value_stored(
                    arguments.key, local_contact, len(arguments.encoded)
                )
            if self._store.is_durable and (reason := wait_durable(self._store)) is not None:
                raise StoreRefused(reason)
        except (StoreRefused, RecordRefused) as refusal:
            report.refused.append((local_contact, refusal.reason))
            if isinstance(refusal, StaleValue):
                report.newer_seqs.append(refusal.newest_seq)
        else:
            report.acknowledged.append(local_contact)

    def _remove_locally(self, key: bytes, ttl: int, seq: int, report: StoreReport) -> None:
        """Remove all values of this node's id, whatever its address was."""
        local_contact = self._context.local_contact
        owners = self._store.owners_with_id(key, local_contact.id)
        if local_contact not in owners:
            owners.append(local_contact)
        now = self._context.clock()
        is_removed = [
            remove_with_tombstone(self._store, key, each, now + ttl, seq, now=now)
            for each in owners
        ]
        self._on_change(key)
        reason = wait_durable(self._store)
        if reason is not None:
            report.refused.append((local_contact, reason))
        elif any(is_removed):
            report.acknowledged.append(local_contact)
