"""What a node looks for: nodes, values, and how large the network is.

Each is a lookup whose next query goes out as soon as an answer comes in; the greenlet that
asked sleeps through it and is woken once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.ids import random_id, to_int
from kademlua.core.lookup.disjoint_paths import Paths
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.reasons import Purpose
from kademlua.core.routing.diversity import Spread
from kademlua.core.routing.size_estimate import SizeEstimate
from kademlua.core.values.record_filter import Sieve
from kademlua.core.wire import replies, requests
from kademlua.crypto import signing
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.search import Reader, Search
from kademlua.lookup.value_search import Finding
from kademlua.rpc.client import Caller
from kademlua.runtime.context import Context


class Operations:
    """The lookups of one node and what is built from them."""

    def __init__(self, context: Context, caller: Caller, liveliness: LivelinessManager) -> None:
        self._context = context
        self._caller = caller
        self._liveliness = liveliness
        self._table = context.table
        self._store = context.store
        self._params = context.params
        self._clock = context.clock
        self.estimate = SizeEstimate()

    def find_node(
        self,
        target: bytes,
        seeds: Iterable[Contact] = (),
        count: int | None = None,
        *,
        paths: int = 1,
        cause: Purpose = Purpose.FIND_NODE,
    ) -> Lookup | Paths:
        """Look up the closest live contacts; blocks this greenlet until it is done.

        ``seeds`` are contacts to begin with besides the routing table's; ``count`` is how many
        to find, by default ``Params.k``, ``paths`` on how many disjoint ones; ``cause`` is one
        of ``Stats.caused``. Raises NodeClosed and TooManyCalls.
        """
        return self.search_nodes(target, seeds, count, paths=paths, cause=cause).lookup

    def search_nodes(
        self,
        target: bytes,
        seeds: Iterable[Contact] = (),
        count: int | None = None,
        *,
        paths: int = 1,
        cause: Purpose,
    ) -> Search:
        """As ``find_node``; the search has the write tokens, too, that it was given."""
        args = requests.args_key(target)
        read = self._read_contacts
        how = {"cause": cause, "k": count, "paths": paths}
        search = self._search(target, "findnode", args, read, **how)
        search.run(seeds)
        self._took(target, search.lookup)
        return search

    def find_some(
        self, wanted: Sequence[tuple[bytes, Callable[[Lookup], bool]]], cause: Purpose
    ) -> None:
        """Look up several targets at once, each with one query at a time and only until its
        function says that enough have answered; blocks and raises as ``find_node`` does."""
        searches = [(target, self._search_some(target, until, cause)) for target, until in wanted]
        for target, search in searches:
            search.wait()
            self._sample(target, search.lookup)

    def _search_some(
        self, target: bytes, until: Callable[[Lookup], bool], cause: Purpose
    ) -> Search:
        args = requests.args_key(target)
        search = self._search(
            target, "findnode", args, self._read_contacts, cause=cause, alpha=1, until=until
        )
        search.lookup.narrow(1)
        search.start()
        return search

    def sample_size(self, count: int) -> None:
        """See at so many random places how near the nodes are to each other: some four queries
        each. Blocks and raises as ``find_node`` does."""
        rng = self._context.rng
        self.find_some([(random_id(rng), _has_nearest) for _ in range(count)], Purpose.MAINTAIN)

    def _read_contacts(self, contact: Contact, values: list[Any]) -> list[Contact]:
        if values and type(values[0]) is list:
            self._liveliness.note_original(contact.id)
        return replies.read_findnode(values, self._context.pool, self._context.reach)

    def sieve(self, key: bytes, **how: Any) -> Sieve:
        """What checks the records that are found for a key; ``how`` as ``Sieve`` has it."""
        return Sieve(key, verify=signing.verify, wall=self._context.wall, **how)

    def find_value(
        self,
        key: bytes,
        answers: int,
        per_node: int,
        quorum: int = 1,
        sieve: Sieve | None = None,
        paths: int = 1,
    ) -> Finding:
        """Find what up to ``answers`` nodes have under a key, up to ``per_node`` of each.

        Ends with as many answers as asked for, and ``quorum`` of them with a value in common;
        where there are fewer, when the k closest, on each of so many disjoint ``paths``, have
        said what they have. A node of which nothing passes the sieve counts as one that has
        nothing.
        """
        sieve = sieve or self.sieve(key)
        finding = Finding(self._context, key, answers, per_node, quorum, sieve)
        local = self._store.get(key, per_node, self._clock())
        if local:
            values = [replies.decode_value(each) for each in local]
            finding.take(self._context.contact, values)
            if not finding.left:
                return finding
        args = requests.args_findvalue(key, per_node)
        # As many in flight as answers are wanted, and one more where one may be late: further
        # ones seldom pay. And no haste at the end where round trips are short.
        spare = 0 if self._liveliness.is_sure else 1
        alpha = min(self._params.alpha, finding.left + spare)
        is_sparing = self._liveliness.patience.is_swift
        search = self._search(
            key,
            "findvalue",
            args,
            finding.read,
            cause=Purpose.FIND_VALUE,
            alpha=alpha,
            is_sparing=is_sparing,
            paths=paths,
        )
        finding.lookup = search.lookup
        search.run(())
        if finding.left:
            self._took(key, search.lookup)
        finding.take_pages(self._caller)
        if sieve.refused:
            self._context.stats.disbelieved.update(sieve.refused)
        return finding

    def network_size(self) -> int:
        """About how many nodes the network has, from what recent lookups met."""
        own, k = to_int(self._context.id), self._params.k
        known = [contact.number for contact in self._table.closest(self._context.id, k)]
        if self._context.is_client and len(self.estimate):
            known = []  # a client does not know its neighbours
        since = self._clock() - self._params.refresh_interval
        return self.estimate.nodes(own, known, k, since)

    def gauge(self) -> None:
        """See anew how near to each other ids may be before they count as a crowd."""
        nodes = self.estimate.usual(self._clock() - self._params.refresh_interval)
        if nodes is None:
            self._table.spread = None
            return
        nearest = self._table.closest(self._context.id, self._params.k)
        neighbours = self.estimate.around(to_int(self._context.id), [c.number for c in nearest])
        self._table.spread = Spread(nodes, self._params.crowd_density, neighbours)

    def _search(self, target: bytes, name: str, args: bytes, read: Reader, **how: Any) -> Search:
        return Search(
            self._context, self._caller, self._liveliness, target, name, args, read, **how
        )

    def _took(self, target: bytes, lookup: Lookup | Paths) -> None:
        """A lookup went all the way: its bucket is fresh, its result tells of the size."""
        if lookup.k >= self._params.k:  # a narrower one does not meet the whole bucket
            self._table.looked_up(target, self._clock())
        self._sample(target, lookup)

    def _sample(self, target: bytes, lookup: Lookup | Paths) -> None:
        # The neighbours themselves count once already, as they stand in the table.
        if target != self._context.id:
            known = lookup.known(self._params.k)
            if len(known) == self._params.k:
                numbers = [contact.number for contact in known]
                self.estimate.sample(self._clock(), to_int(target), numbers)


def _has_nearest(lookup: Lookup) -> bool:
    return lookup.has_nearest
