"""Finding: the answers to one find_value as they come in, and who should have had one."""

from __future__ import annotations

from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.ids import to_int
from kademlua.core.lookup.disjoint_paths import Paths
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.results import Answer
from kademlua.core.values.record_filter import Sieve
from kademlua.core.wire import replies
from kademlua.lookup.value_pages import rest_of
from kademlua.rpc.client import Caller
from kademlua.runtime.context import Context


class Finding:
    """Ends its lookup once ``answers`` nodes have answered with values, one of which at
    least ``quorum`` of them have."""

    __slots__ = (
        "_answers", "_context", "_cut", "_found", "_lacking", "_per_node", "_quorum", "_votes",
        "key", "lookup", "sieve",
    )  # fmt: skip

    lookup: Lookup | Paths

    def __init__(
        self,
        context: Context,
        key: bytes,
        answers: int,
        per_node: int,
        quorum: int,
        sieve: Sieve,
    ) -> None:
        self.key = key
        self.sieve = sieve
        self._context = context
        self._answers = max(answers, quorum)
        self._per_node = per_node
        self._quorum = quorum
        self._votes: dict[bytes, int] = {}
        """Nodes that have a value, by its bytes; counted only for a quorum."""
        self._found: list[Answer] = []
        self._lacking: list[Contact] = []
        self._cut: list[tuple[Answer, int, int]] = []
        """Answers that had so many values, and say that so many more are there."""

    @property
    def left(self) -> int:
        """How many further answers are wanted; 0 where there are enough."""
        left = self._answers - len(self._found)
        if left <= 0 and self._quorum > 1:
            best = max(self._votes.values(), default=0)
            return max(0, self._quorum - best)
        return max(0, left)

    def take(self, contact: Contact, values: list[Any]) -> bool:
        """One more node says that it has these; whether any of them are to be believed."""
        values = self.sieve.sift(values)[: self._per_node]
        if not values:
            return False
        self._found.append(Answer(contact, values))
        if self._quorum > 1:  # a node that says a thing twice has said it once
            self._vote({replies.encode_value(each) for each in values})
        return True

    def read(self, contact: Contact, values: list[Any]) -> list[Contact]:
        """The contacts in an answer; what else it says is noted. WireError for nonsense."""
        retval = replies.read_retval(values)
        if not retval:
            self._lacking.append(contact)
        elif self.left:
            if not self.take(contact, retval):
                self._lacking.append(contact)
            elif (more := min(replies.read_more(values), self._per_node - len(retval))) > 0:
                self._cut.append((self._found[-1], len(retval), more))
            left = self.left
            if not left:
                self.lookup.stop()
                return []
            self.lookup.narrow(left)
        return replies.read_findnode(values, self._context.pool, self._context.reach)

    def take_pages(self, caller: Caller) -> None:
        """Fetch what did not fit into the answers; blocks, and raises as ``rest_of`` does."""
        clock = self._context.clock
        for answer, count, more in self._cut:
            rest = self.sieve.sift(rest_of(caller, answer.contact, self.key, count, more, clock))
            if self._quorum > 1:
                said = {replies.encode_value(each) for each in answer.values}
                self._vote({replies.encode_value(each) for each in rest} - said)
            answer.values.extend(rest)

    def result(self) -> list[Answer]:
        """The answers, without values that fewer than ``quorum`` nodes have, and without what
        a record turned out to stand against."""
        found = [answer for answer in self._found if self.sieve.still_shown(answer.values)]
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
        return [answer.contact for answer in self._found]

    def lacking(self) -> list[Contact]:
        """Who has none, and is nearer to the key than one who has; nearest first."""
        if not self._lacking or not self._found:
            return []
        target = to_int(self.key)
        farthest = max(answer.contact.number ^ target for answer in self._found)
        nearer = [each for each in self._lacking if each.number ^ target < farthest]
        return sorted(nearer, key=lambda each: each.number ^ target)

    def met_last(self) -> Contact | None:
        """The nearest to the key of those on the way that have no values."""
        target = to_int(self.key)
        return min(self._lacking, key=lambda each: each.number ^ target, default=None)
