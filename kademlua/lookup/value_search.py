"""Collecting the answers to one find_value, and finding the replicas that lack the value."""

from __future__ import annotations

from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.ids import to_int
from kademlua.core.lookup.disjoint_paths import DisjointLookup
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.results import Answer
from kademlua.core.values.record_filter import RecordFilter
from kademlua.core.wire import replies
from kademlua.lookup.value_pages import fetch_remaining
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context


class ValueSearch:
    """The answers of one value lookup.

    Stops the lookup when ``max_nodes`` nodes returned values and at least ``quorum`` of them
    returned the same value.
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
        "key",
        "lookup",
        "record_filter",
    )  # fmt: skip

    lookup: Lookup | DisjointLookup

    def __init__(
        self,
        context: Context,
        key: bytes,
        max_nodes: int,
        max_values_per_node: int,
        quorum: int,
        record_filter: RecordFilter,
    ) -> None:
        self.key = key
        self.record_filter = record_filter
        self._context = context
        self._max_nodes = max(max_nodes, quorum)
        self._max_values_per_node = max_values_per_node
        self._quorum = quorum
        self._votes: dict[bytes, int] = {}
        """Number of nodes that returned a value, by its bytes; only counted for a quorum."""
        self._results: list[Answer] = []
        self._without_value: list[Contact] = []
        self._truncated: list[tuple[Answer, int, int]] = []
        """Incomplete answers, with the numbers of received and of further values."""

    @property
    def wanted(self) -> int:
        """Number of further answers wanted, 0 if there are enough."""
        wanted = self._max_nodes - len(self._results)
        if wanted <= 0 and self._quorum > 1:
            best_vote = max(self._votes.values(), default=0)
            return max(0, self._quorum - best_vote)
        return max(0, wanted)

    def add(self, contact: Contact, values: list[Any]) -> bool:
        """Add the values of a node; return False if the record filter rejects all of them."""
        values = self.record_filter.filter(values)[: self._max_values_per_node]
        if not values:
            return False
        self._results.append(Answer(contact, values))
        if self._quorum > 1:  # a set, since a repeated value counts once
            self._vote({replies.encode_value(each) for each in values})
        return True

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
                self._truncated.append((self._results[-1], len(found_values), remaining))
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

        Raises:
            NodeClosed: The node is closed.
            TooManyCalls: Too many calls are in flight.
        """
        clock = self._context.clock
        for answer, count, remaining in self._truncated:
            remaining_values = self.record_filter.filter(
                fetch_remaining(client, answer.contact, self.key, count, remaining, clock)
            )
            if self._quorum > 1:
                known_values = {replies.encode_value(each) for each in answer.values}
                self._vote({replies.encode_value(each) for each in remaining_values} - known_values)
            answer.values.extend(remaining_values)

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
