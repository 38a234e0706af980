"""Writing to the network: store a value on the nodes closest to its key, or remove it."""

from __future__ import annotations

from kademlua.core.errors import RecordRefused, StoreFailed, StoreRefused
from kademlua.core.ids import to_int
from kademlua.core.reasons import Purpose
from kademlua.core.results import StoreReport
from kademlua.core.routing.replica_set import is_replica
from kademlua.core.values.store import StoreEntry
from kademlua.core.values.tombstones import Tombstones
from kademlua.core.wire import replies, requests
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.service import LookupService
from kademlua.rpc.client import EncodedRequest, RpcClient
from kademlua.runtime.context import Context
from kademlua.runtime.durability import wait_durable
from kademlua.values.admission import AdmissionPolicy, remove_with_tombstone
from kademlua.values.fan_out import FanOut


class ValueWriter:
    """Stores and removes values in the network for one node."""

    def __init__(
        self,
        context: Context,
        client: RpcClient,
        liveliness: LivelinessManager,
        lookups: LookupService,
        tombstones: Tombstones,
    ) -> None:
        self._context = context
        self._client = client
        self._liveliness = liveliness
        self._lookups = lookups
        self._tombstones = tombstones
        self._store = context.store
        self._admission = AdmissionPolicy(context)
        self._params = context.params
        self._clock = context.clock

    def store(
        self,
        key: bytes,
        encoded: bytes,
        ttl: int,
        *,
        overwrite: bool = False,
        cas: int | None = None,
        purpose: Purpose = Purpose.STORE,
    ) -> StoreReport:
        """Store a bencoded value on the ``replicas`` nodes closest to its key.

        This node may be one of them.

        Args:
            ttl: Lifetime of the value in seconds.
            overwrite: Ask the holders to drop the plain values of other owners, too.
            cas: Replace only the signed record with this sequence number.
            purpose: The entry of ``Stats.calls_by_purpose`` that counts the requests.

        Raises:
            StoreFailed: Fewer than ``Params.write_quorum`` nodes acknowledged the value.
        """
        replicas = self._params.replicas
        # The closest nodes return the farther replicas. Querying those for write tokens would
        # cost as much as their validating pings, which some of them do not need.
        count, path_count = (2 * replicas + 4) // 5, self._params.disjoint_paths
        network_lookup = self._lookups.run_node_lookup(
            key, count=count, path_count=path_count, purpose=purpose
        )
        candidates = network_lookup.lookup.candidates(replicas, fallback_count=replicas)
        report = StoreReport()
        remote_count = replicas
        local_int = to_int(self._context.id)
        is_holder = is_replica(local_int, to_int(key), candidates, replicas)
        if is_holder and not self._context.is_client:
            remote_count -= 1
            self._store_locally(key, encoded, ttl, report, overwrite=overwrite, cas=cas)

        def encode_store(token: bytes) -> EncodedRequest:
            args = requests.encode_store_args(
                requests.StoreArguments(
                    key, encoded, ttl, overwrite=overwrite, cas=cas, token=token
                )
            )
            return self._client.encode("store", args)

        fan_out = FanOut(
            self._client,
            self._liveliness,
            encode_store(b""),
            report,
            tokened_requests={
                contact: encode_store(token)
                for contact, token in network_lookup.write_tokens.items()
            },
        )
        fan_out.run(candidates[:remote_count], candidates[remote_count:])
        self._context.stats.calls_by_purpose[purpose] += fan_out.sent_count
        if len(report.acknowledged) < self._params.write_quorum:
            raise StoreFailed(report.failure_summary(), report)
        return report

    def remove(self, key: bytes, ttl: int) -> StoreReport:
        """Remove this node's value of a key from all nodes that may hold it.

        The request goes to twice ``replicas`` nodes, since former replicas may still hold it.
        ``ttl`` is the minimum lifetime of the tombstones in seconds.

        Raises:
            StoreFailed: No node acknowledged the removal.
        """
        network_lookup = self._lookups.run_node_lookup(key, purpose=Purpose.REMOVE)
        recipients = network_lookup.lookup.candidates(2 * self._params.replicas)
        report = StoreReport()
        local_contact = self._context.local_contact
        if remove_with_tombstone(
            self._store, self._tombstones, key, local_contact, self._clock() + ttl
        ):
            report.acknowledged.append(local_contact)
        request = self._client.encode("remove", requests.encode_remove_args(key, ttl))
        tokened_requests = {
            contact: self._client.encode("remove", requests.encode_remove_args(key, ttl, token))
            for contact, token in network_lookup.write_tokens.items()
        }
        fan_out = FanOut(
            self._client,
            self._liveliness,
            request,
            report,
            replies.decode_remove_reply,
            tokened_requests,
        )
        fan_out.run(recipients, [])
        self._context.stats.calls_by_purpose[Purpose.REMOVE] += fan_out.sent_count
        if recipients and not report.acknowledged:
            raise StoreFailed(report.failure_summary("removed the value"), report)
        return report

    def _store_locally(
        self,
        key: bytes,
        encoded: bytes,
        ttl: int,
        report: StoreReport,
        *,
        overwrite: bool,
        cas: int | None,
    ) -> None:
        now = self._clock()
        local_contact = self._context.local_contact
        self._tombstones.remove(key, local_contact)
        try:
            self._admission.admit(
                key,
                local_contact,
                StoreEntry(encoded, now + ttl, received_at=now),
                overwrite=overwrite,
                cas=cas,
            )
            if self._context.observers.registered:
                self._context.observers.notify_value_stored(key, local_contact, len(encoded))
            if self._store.is_durable and (reason := wait_durable(self._store)) is not None:
                raise StoreRefused(reason)
        except (StoreRefused, RecordRefused) as refusal:
            report.refused.append((local_contact, refusal.reason))
        else:
            report.acknowledged.append(local_contact)
