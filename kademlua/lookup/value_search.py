"""Finding: the answers to one find_value as they come in, and who should have had one."""

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
    """Ends its lookup once ``answers`` nodes have answered with values, one of which at
    least ``quorum`` of them have."""

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
        """Nodes that have a value, by its bytes; counted only for a quorum."""
        self._results: list[Answer] = []
        self._without_value: list[Contact] = []
        self._truncated: list[tuple[Answer, int, int]] = []
        """Answers that had so many values, and say that so many more are there."""

    @property
    def wanted(self) -> int:
        """How many further answers are wanted; 0 where there are enough."""
        wanted = self._max_nodes - len(self._results)
        if wanted <= 0 and self._quorum > 1:
            best_vote = max(self._votes.values(), default=0)
            return max(0, self._quorum - best_vote)
        return max(0, wanted)

    def add(self, contact: Contact, values: list[Any]) -> bool:
        """One more node says that it has these; whether any of them are to be believed."""
        values = self.record_filter.filter(values)[: self._max_values_per_node]
        if not values:
            return False
        self._results.append(Answer(contact, values))
        if self._quorum > 1:  # a node that says a thing twice has said it once
            self._vote({replies.encode_value(each) for each in values})
        return True

    def read_reply(self, contact: Contact, values: list[Any]) -> list[Contact]:
        """The contacts in an answer; what else it says is noted. WireError for nonsense."""
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
        """Fetch what did not fit into the answers; blocks, and raises as ``fetch_remaining``
        does."""
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
        """The answers, without values that fewer than ``quorum`` nodes have, and without what
        a record turned out to stand against."""
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

    # Who should have had it.

    @property
    def holders(self) -> list[Contact]:
        """Who has values."""
        return [answer.contact for answer in self._results]

    def missing_replicas(self) -> list[Contact]:
        """Who has none, and is nearer to the key than one who has; nearest first."""
        if not self._without_value or not self._results:
            return []
        target_int = to_int(self.key)
        farthest = max(answer.contact.id_int ^ target_int for answer in self._results)
        nearer = [each for each in self._without_value if each.id_int ^ target_int < farthest]
        return sorted(nearer, key=lambda each: each.id_int ^ target_int)

    def cache_candidate(self) -> Contact | None:
        """The nearest to the key of those on the way that have no values."""
        target_int = to_int(self.key)
        return min(self._without_value, key=lambda each: each.id_int ^ target_int, default=None)
