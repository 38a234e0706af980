"""A lookup on the network: sends the queries that the pure ``Lookup`` asks for.

Callbacks in the hub process replies and send the next queries. The caller's greenlet sleeps
until the lookup ends.
"""

from __future__ import annotations

from typing import Any, Final

from gevent.event import AsyncResult

from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError, NodeClosed, RpcTimeout, WireError
from kademlua.core.lookup.disjoint_paths import DisjointLookup
from kademlua.core.lookup.input import LookupInput
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.pending_calls import PendingCall
from kademlua.core.wire import replies
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.early_requests import EarlyRequest
from kademlua.lookup.search_options import LookupQuery, SearchOptions
from kademlua.rpc.call_options import CallOptions, padded_bytes
from kademlua.rpc.client import RpcClient
from kademlua.rpc.timeouts import MIN_WRITE_RTO
from kademlua.runtime.context import Context
from kademlua.runtime.observers import ObservedLookup
from kademlua.runtime.timer import Timer

_EARLY_RPC: Final = "store"
"""The RPC that a caller may send in place of a query."""
_MAX_RESTARTS: Final = 2
"""A held call waits for a reply to another one first, so it may take twice ``rpc_timeout``."""


class NetworkLookup:
    """One lookup, whose queries are RPC calls of one node."""

    __deletable__ = ("_early", "_read_reply")

    def __init__(
        self,
        context: Context,
        client: RpcClient,
        liveliness: LivelinessManager,
        query: LookupQuery,
        options: SearchOptions,
    ) -> None:
        self._context = context
        self._table = context.table
        self._stats = context.stats
        self._purpose = options.purpose
        self._remembers_contacts = options.remembers_contacts
        self._clock = context.clock
        self._histograms = context.observers.latency_histograms
        self._client = client
        self._liveliness = liveliness
        self._target = query.target
        self.request = client.encode(query.rpc_name, query.args)
        """What each contact is sent."""
        self._fallback_request = (
            client.encode(query.rpc_name, query.fallback_args) if query.fallback_args else None
        )
        self.write_tokens: dict[Contact, bytes] = {}
        """Write tokens received in replies, by contact."""
        self._read_reply = query.read_reply
        self._early = options.early
        self.is_complete = True
        """Whether the lookup was not ended by a limit of its time or its bytes."""
        params = context.params
        self._bytes_left = params.max_find_bytes
        """Bytes that may still be received, the contacts in replies included."""
        deadline = options.deadline
        self._deadline = self._clock() + params.find_timeout if deadline is None else deadline
        self._timer: Timer | None = None
        """Set when a query in flight may outlast the deadline: most lookups need no timer."""
        self._unlimited_until = self._deadline - _MAX_RESTARTS * params.rpc_timeout
        self._error: Exception | None = None
        self._finished: AsyncResult[None] = AsyncResult()
        self._observed: ObservedLookup | None = None
        if context.observers.registered:
            self._observed = context.observers.begin_lookup(
                context.clock, query.rpc_name, query.target, options.purpose
            )
        self.lookup = self._create_lookup(query.target, options)

    def _create_lookup(self, target: bytes, options: SearchOptions) -> Lookup | DisjointLookup:
        on_finished = self._finished.set if self._observed is None else self._finish_observed
        # Where round trips are short, to wait for a slot costs less than a needless query.
        is_low_latency = self._liveliness.rto_estimator.is_low_latency
        lookup_input = LookupInput(
            target=target,
            local_id=self._table.local_id,
            k=options.k or self._context.params.k,
            alpha=options.alpha or self._context.params.alpha,
            certain_alpha=0 if is_low_latency else options.certain_alpha,
            saves_queries=options.saves_queries,
            stop_when=options.stop_when,
            awaits_lost=options.awaits_lost,
            limits=self._context.diversity_limits,
            density=self._table.density,
            late_contacts=self._liveliness.late_contacts,
            fallback_contacts=self._fallback_contacts,
        )
        if options.path_count == 1:
            return Lookup(lookup_input, query=self._query, on_finished=on_finished)
        return DisjointLookup(
            options.path_count, lookup_input, query=self._query, on_finished=on_finished
        )

    def run(self, seeds: list[Contact]) -> None:
        """Perform the lookup and block this greenlet until it ends.

        Raises:
            NodeClosed: The node is closed.
            TooManyCalls: Too many calls are in flight.
        """
        histograms = self._histograms
        if histograms is None:
            self.start(seeds)
            self.wait()
        else:
            started_at = self._clock()
            self.start(seeds)
            self.wait()
            histograms.observe_lookup(
                self.request.name, self._clock() - started_at, self.lookup.queries
            )

    def start(self, seeds: list[Contact]) -> None:
        """Send the first queries, to the closest of ``seeds``."""
        initial = self._without_dead(seeds)
        if self._observed is not None:
            self._observed.on_seeded(initial)
        self.lookup.start(initial, self._anchors_of(initial))

    def _anchors_of(self, seeds: list[Contact]) -> list[Contact]:
        """Return the nearest seeds of the routing table if there may be others, few.

        The table is harder to fill with contacts of one attacker than the recent contacts are.
        """
        if not len(self._liveliness.recent_contacts):  # the usual case
            return []
        anchors: list[Contact] = []
        for each in seeds:
            if len(anchors) == self._context.params.alpha:
                break
            if each in self._table:
                anchors.append(each)
        return anchors

    def wait(self) -> None:
        """Block this greenlet until the lookup ends; raise the errors of ``run``."""
        try:
            self._finished.get()
        finally:
            self.lookup.stop()  # in case the greenlet was killed or timed out
            if self._timer is not None:
                self._timer.stop()
            self._stats.calls_by_purpose[self._purpose] += self.lookup.queries
            del self._read_reply, self._early  # breaks reference cycles with the caller
        if self._error is not None:
            raise self._error

    def _fallback_contacts(self) -> list[Contact]:
        """Return table contacts farther away than those that started the lookup."""
        seed_count = max(self._context.params.k, self.lookup.k)
        table_contacts = self._table.closest(self._target, 3 * seed_count)
        return self._without_dead(table_contacts[seed_count:])

    def _query(self, contact: Contact) -> None:
        if self._timer is None and self._clock() > self._unlimited_until:
            self._timer = Timer(self._on_limit)
            self._timer.start(max(0.0, self._deadline - self._clock()))
        if self._observed is not None:
            self._observed.on_query(contact)
        early = self._early_request(contact)
        rto_estimator = self._liveliness.rto_estimator
        if early is None:
            rto = rto_estimator.rto_for(contact)
            is_validated = self._liveliness.is_validated_at(contact)
        else:
            rto = early.round_trips * rto_estimator.rto_for(contact, MIN_WRITE_RTO)
            is_validated = early.round_trips == 1
        timeout = rto_estimator.patient_timeout_for(rto)
        versions = self._liveliness.versions
        alias = versions.alias_for(contact)
        fallback = self._fallback_request if versions.is_v10(contact) else None
        padding = 0 if is_validated else padded_bytes(contact.endpoint)
        request = self.request if early is None else early.request
        options = CallOptions(timeout, self._on_late, rto, padding, alias, retransmission=fallback)
        try:
            self._client.send(contact.endpoint, contact, request, self._on_done, options)
        except KademluaError as error:
            self._abort(error)

    def _early_request(self, contact: Contact) -> EarlyRequest | None:
        if self._early is None or not isinstance(self.lookup, Lookup):
            return None
        return self._early.request_for(self.lookup, contact)

    def _early_contacts(
        self, contact: Contact, result: list[Any] | KademluaError
    ) -> list[Contact] | None:
        assert self._early is not None
        return self._early.read_reply(contact, result)

    def _report_progress(self, contact: Contact) -> None:
        lookup = self.lookup
        if self._early is not None and isinstance(lookup, Lookup) and not lookup.is_finished:
            self._early.on_progress(lookup, contact, self.write_tokens)

    def _on_done(self, call: PendingCall, result: list[Any] | KademluaError) -> None:
        contact = call.contact
        assert contact is not None
        if isinstance(result, list):
            if self.lookup.is_finished:
                return
            self._bytes_left -= call.reply_bytes
            if self._bytes_left < 0:
                self._on_limit()
                return
            if not result and self._liveliness.versions.is_alias_refused(contact):
                self._query(contact)
                return
            try:
                if self._observed is not None:
                    self._observed.on_reply_received(contact)
                if self._remembers_contacts and not call.is_in_table:
                    # Before a store is recorded, which proves this node's address to the contact.
                    self._liveliness.recent_contacts.on_reply(contact, self._clock())
                if call.name == _EARLY_RPC:
                    listed = self._early_contacts(contact, result)
                    if listed is None:
                        self._query(contact)
                        return
                else:
                    listed = self._read_reply(contact, result)
                    is_v10 = replies.is_v10_form(result)
                    self._liveliness.versions.record_form(contact, is_v10=is_v10, listed=listed)
                contacts = self._without_dead(
                    self._client.gate.select_named(contact.endpoint, listed)
                )
                if self._observed is not None:
                    self._observed.on_reply_decoded(contacts)
                if token := replies.decode_token(result):
                    self.write_tokens[contact] = token
                self.lookup.on_reply(contact, contacts)
                self._report_progress(contact)
            except WireError as error:
                self._liveliness.recent_contacts.remove(contact)
                self._client.count_malformed_reply(error)
                self._on_failure(contact)
            except Exception as error:  # a defect: raise it in the waiting greenlet
                self._abort(error)
            return
        if isinstance(result, RpcTimeout):
            if call.late_count < 2:
                self._liveliness.on_timeout(contact)
        elif isinstance(result, NodeClosed):
            self._abort(result)
        elif call.name == _EARLY_RPC and not self.lookup.is_finished:
            self._early_contacts(contact, result)
            self._query(contact)
            return
        self._on_failure(contact)

    def _without_dead(self, contacts: list[Contact]) -> list[Contact]:
        """Return the contacts that are not marked as dead, and that may be queried."""
        contacts = self._client.gate.without_silent(contacts, self._clock())
        if not self._liveliness.has_dead:
            return contacts
        is_dead = self._liveliness.is_dead
        return [contact for contact in contacts if not is_dead(contact)]

    def _on_late(self, call: PendingCall) -> None:
        assert call.contact is not None
        self._liveliness.on_late(call.contact, call.late_count)
        self.lookup.on_late(call.contact)

    def _on_failure(self, contact: Contact) -> None:
        if self._observed is not None and not self.lookup.is_finished:
            self._observed.on_failure(contact)
        self.lookup.on_failure(contact)

    def _on_limit(self) -> None:
        """End the lookup with what it has."""
        if not self.lookup.is_finished:
            self.is_complete = False
            self.lookup.stop()

    def _finish_observed(self) -> None:
        assert self._observed is not None
        self._observed.on_finished(self.lookup.queries)
        self._finished.set()

    def _abort(self, error: Exception) -> None:
        self._error = error
        self.lookup.stop()
