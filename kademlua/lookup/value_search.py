"""Collecting the answers to one find_value, and finding the replicas that lack the value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.ids import to_int
from kademlua.core.lookup.disjoint_paths import DisjointLookup
from kademlua.core.lookup.find_budget import DEFAULT_LIMITS, FindBudget, FindLimits
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.results import Answer
from kademlua.core.values.record_filter import RecordFilter
from kademlua.core.wire import replies
from kademlua.lookup.value_pages import TruncatedAnswer, ValuePages
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context


@dataclass(slots=True, kw_only=True)  # not frozen: making one would take four times as long
class FindOptions:
    """What a find searches for, and when it ends."""

    max_nodes: int
    """Nodes with values after which the search ends."""
    quorum: int = 1
    """Nodes that must return a value."""
    path_count: int = 1
    """Disjoint paths."""
    limits: FindLimits = DEFAULT_LIMITS


class ValueSearch:
    """The answers of one value lookup.

    Stops the lookup when ``max_nodes`` nodes returned values and at least ``quorum`` of them
    returned the same value. What the nodes send is limited by ``budget``.
    """

    __slots__ = (
        "_context",
        "_max_nodes",
        "_max_values_per_node",
        "_quorum",
        "_results",
        "_truncated",
        "_votes",
        "_without_value",
        "budget",
        "deadline",
        "key",
        "lookup",
        "record_filter",
    )  # fmt: skip

    lookup: Lookup | DisjointLookup

    def __init__(
        self, context: Context, key: bytes, options: FindOptions, record_filter: RecordFilter
    ) -> None:
        params, limits = context.params, options.limits
        self.key = key
        self.record_filter = record_filter
        self._context = context
        self._max_nodes = max(options.max_nodes, options.quorum)
        self._max_values_per_node = limits.max_values_per_node
        self._quorum = options.quorum
        self.deadline = context.clock() + (limits.timeout or params.find_timeout)
        self.budget = FindBudget(
            limits.max_bytes or params.max_find_bytes,
            min(self._max_nodes, params.k),
            params.max_value_bytes,
        )
        self._votes: dict[bytes, int] = {}
        """Number of nodes that returned a value, by its bytes; only counted for a quorum."""
        self._results: list[Answer] = []
        self._without_value: list[Contact] = []
        self._truncated: list[TruncatedAnswer] = []

    @property
    def wanted(self) -> int:
        """Number of further answers wanted, 0 if there are enough."""
        wanted = self._max_nodes - len(self._results)
        if wanted <= 0 and self._quorum > 1:
            best_vote = max(self._votes.values(), default=0)
            return max(0, self._quorum - best_vote)
        return max(0, wanted)

    def is_without_result(self) -> bool:
        """Return whether no node, or no quorum, has returned a value so far."""
        return max(self._votes.values(), default=len(self._results)) < self._quorum

    def add(self, contact: Contact, values: list[Any]) -> bool:
        """Add the values of a node; return False if all of them are ignored or rejected."""
        values = self.budget.admit(contact, values[: self._max_values_per_node])
        values = self.record_filter.filter(values)
        if not values:
            return False
        self.budget.keep(contact)
        self._results.append(Answer(contact, values))
        if self._quorum > 1:  # a set, since a repeated value counts once
            self._vote({replies.encode_value(each) for each in values})
        return True

    def record(self, contact: Contact, values: list[Any]) -> None:
        """Record all values of a node, or that it has none."""
        if not values or not self.add(contact, values):
            self._without_value.append(contact)

    def read_reply(self, contact: Contact, values: list[Any]) -> list[Contact]:
        """Record the values in a reply and return its contacts.

        Raises:
            WireError: The reply is malformed.
        """
        found_values = replies.decode_retval(values)
        if not found_values:
            self._without_value.append(contact)
        elif self.wanted:
            if not self.add(contact, found_values):
                self._without_value.append(contact)
            elif (
                remaining := min(
                    replies.decode_remaining(values), self._max_values_per_node - len(found_values)
                )
            ) > 0:
                self._truncated.append(
                    TruncatedAnswer(self._results[-1], len(found_values), remaining)
                )
            wanted = self.wanted
            if not wanted:
                self.lookup.stop()
                return []
            self.lookup.limit_concurrency(wanted)
        return replies.decode_findnode_reply(
            values, self._context.pool, self._context.address_families
        )

    def fetch_truncated(self, client: RpcClient) -> None:
        """Fetch the values that did not fit into the replies, and block until done.

        A record is single: none is searched for on further pages.

        Raises:
            NodeClosed: The node is closed.
            TooManyCalls: Too many calls are in flight.
        """
        if not self._truncated or self.record_filter.only_records or self.record_filter.has_record:
            return
        pages = ValuePages(self._context, client, self.key, self.budget)
        seconds_left = max(0.0, self.deadline - self._context.clock())
        fetched = pages.fetch(self._truncated, seconds_left)
        for (answer, _, _), new_values in zip(self._truncated, fetched, strict=True):
            values = self.record_filter.filter(new_values)
            if self._quorum > 1:
                self._vote({replies.encode_value(each) for each in values})
            answer.values.extend(values)

    def results(self) -> list[Answer]:
        """Return the answers without superseded records and without unconfirmed values.

        A value is unconfirmed if fewer than ``quorum`` nodes returned it.
        """
        found = [answer for answer in self._results if self.record_filter.is_current(answer.values)]
        if self._quorum <= 1:
            return found
        answers = []
        for answer in found:
            values = [each for each in answer.values if self._is_confirmed(each)]
            if values:
                answers.append(Answer(answer.contact, values))
        return answers

    def _vote(self, values: set[bytes]) -> None:
        for each in values:
            self._votes[each] = self._votes.get(each, 0) + 1

    def _is_confirmed(self, value: Any) -> bool:
        return self._votes.get(replies.encode_value(value), 0) >= self._quorum

    def contacts_near(self, count: int) -> list[Contact]:
        """Return up to ``count`` contacts that were found near the key; none if its values were in
        the own store."""
        return self.lookup.candidates(count) if hasattr(self, "lookup") else []

    # Holders and replicas without the value, for read repair and caching.

    @property
    def holders(self) -> list[Contact]:
        """Nodes that returned values."""
        return [answer.contact for answer in self._results]

    def missing_replicas(self) -> list[Contact]:
        """Return the nodes without the value that are closer to the key than a holder, in order."""
        if not self._without_value or not self._results:
            return []
        target_int = to_int(self.key)
        farthest = max(answer.contact.id_int ^ target_int for answer in self._results)
        nearer = [each for each in self._without_value if each.id_int ^ target_int < farthest]
        return sorted(nearer, key=lambda each: each.id_int ^ target_int)

    def cache_candidate(self) -> Contact | None:
        """Return the closest queried node without the value, or None."""
        target_int = to_int(self.key)
        return min(self._without_value, key=lambda each: each.id_int ^ target_int, default=None)
