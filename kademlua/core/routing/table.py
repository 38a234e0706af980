"""The routing table: k-buckets by distance, exact closest contacts, replacements.

It holds contacts that answered, decides who stays and who waits, and sends nothing: whoever
keeps it is told whom to probe (Maymounkov and Mazières 2002, sections 2.2 to 2.4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.ids import ID_BITS, to_int
from kademlua.core.routing.bucket import KBucket, Peer
from kademlua.core.routing.diversity import CrowdLimits, NetworkCounts, Spread


class RoutingTable:
    """The contacts of one node.

    Buckets are counted by the bits that their contacts share with the own id. Only the
    last one, which holds the own id, splits. Of one network there are no more contacts than
    ``limits`` say; nor more next to each other than ``spread`` allows, once that is known.
    """

    __slots__ = (
        "_by_endpoint", "_by_id", "_came", "_gone", "_k", "_limits", "_networks", "_own", "buckets",
        "changed", "own_id", "spread",
    )  # fmt: skip

    def __init__(
        self, own_id: bytes, k: int, now: float, limits: CrowdLimits | None = None
    ) -> None:
        self.own_id = own_id
        self._own = to_int(own_id)
        self._k = k
        self._by_id: dict[bytes, Peer] = {}
        self._by_endpoint: dict[Endpoint, Peer] = {}
        self.buckets = [KBucket(now)]
        self._limits = limits
        self._networks = NetworkCounts()
        self.spread: Spread | None = None
        self.changed: Callable[[Contact, bool], None] | None = None
        """Told of each contact that enters (True) or leaves; must not raise."""
        # Lists, though one is looked for in them at times: dictionaries would be 2 kB a node.
        self._came: list[Contact] = []
        self._gone: list[Contact] = []

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Contact]:
        for peer in self._by_id.values():
            yield peer.contact

    def __contains__(self, contact: Contact) -> bool:
        peer = self._by_id.get(contact.id)
        return peer is not None and peer.contact == contact

    def get(self, node_id: bytes) -> Peer | None:
        """The peer of an id, where it is in the table."""
        return self._by_id.get(node_id)

    def at(self, endpoint: Endpoint) -> Peer | None:
        """The peer at an endpoint, where there is one in the table."""
        return self._by_endpoint.get(endpoint)

    def bucket_of(self, number: int) -> int:
        """The index of the bucket in which the id of a number belongs."""
        shared = ID_BITS - (number ^ self._own).bit_length()
        return min(shared, len(self.buckets) - 1)

    def heard(self, node_id: bytes, endpoint: Endpoint, now: float) -> Peer | None:
        """Note that a packet came from here: from whom, or None where that is no peer of the
        table."""
        peer = self._by_id.get(node_id)
        if peer is None or peer.contact.endpoint != endpoint:
            return None
        peer.heard = now
        contact = peer.contact
        number = contact.number
        contacts = self.buckets[self.bucket_of(number)].contacts
        del contacts[number]  # and in again: a dictionary keeps the order of entry
        contacts[number] = contact
        return peer

    def has_room_for(self, node_id: bytes) -> bool:
        """Whether a contact of this id would get a place if it answered a probe."""
        if node_id == self.own_id or node_id in self._by_id:
            return False
        number = to_int(node_id)
        if not self.has_room_in(self.bucket_of(number)):
            return False
        return self.spread is None or not self._is_dense(number, self.spread)

    def seeks(self, node_id: bytes, enough: int) -> bool:
        """Whether a contact of this id is worth a probe: it would get a place, and be among
        the neighbours or in a bucket of fewer than ``enough``."""
        if not self.has_room_for(node_id):
            return False
        index = self.bucket_of(to_int(node_id))
        if len(self.buckets[index].contacts) < enough:
            return True
        # Who is nearer than a whole bucket is among the k nearest, or nearly.
        return sum(len(bucket.contacts) for bucket in self.buckets[index + 1 :]) < self._k

    def has_room_in(self, index: int) -> bool:
        """Whether a bucket has a place, or is the own one, which makes room by splitting."""
        return index == len(self.buckets) - 1 or len(self.buckets[index].contacts) < self._k

    def admits(self, contact: Contact) -> bool:
        """Whether a contact may be in the table: its id is one that it may have, there are
        fewer of its network than there may be, in its bucket and in the table, and fewer next
        to it."""
        limits = self._limits
        if limits is not None and (not limits.is_bound(contact) or self._is_crowded(contact)):
            return False
        return self.spread is None or not self._is_dense(contact.number, self.spread)

    def _is_crowded(self, contact: Contact) -> bool:
        limits = self._limits
        if limits is None or not limits.concerns(contact):
            return False
        network = contact.network
        count = self._networks.count(network)
        if count < min(limits.bucket, limits.table):
            return False
        if count >= limits.table:
            return True
        contacts = self.buckets[self.bucket_of(contact.number)].contacts.values()
        return sum(each.network == network for each in contacts) >= limits.bucket

    def _is_dense(self, number: int, spread: Spread) -> bool:
        """Whether as many as can be have ids next to this one."""
        near = spread.vicinity
        index = self.bucket_of(number)
        # Others next to it share its bucket, but for those around the own id.
        last = len(self.buckets) if number ^ self._own < 2 * near else index + 1
        found = 0
        for bucket in self.buckets[index:last]:
            for each in bucket.contacts:
                if each ^ number < near:
                    found += 1
        return found >= spread.within(near)

    def answered(self, contact: Contact, now: float) -> Contact | None:
        """Note that ``contact`` answered an RPC of ours: it may enter.

        Where its id or its endpoint is held by another contact, or its bucket is full, it
        waits, and the contact that stands in its way is returned: a candidate for a probe
        (who is dead is to be ``remove``\\ d).
        """
        peer = self.heard(contact.id, contact.endpoint, now)
        if peer is not None:
            peer.answered = now
            return None
        if contact.id == self.own_id:
            return None
        twin = self._by_id.get(contact.id)
        if twin is not None:  # the same id at another address: the first one has the right
            self._wait(self.buckets[self.bucket_of(contact.number)], contact)
            return twin.contact
        former = self._by_endpoint.get(contact.endpoint)
        if former is None:
            return self._enter(contact, now)
        # The endpoint itself just said that it has another id now.
        self._take_out(former)
        in_the_way = self._enter(contact, now)
        bucket = self.buckets[self.bucket_of(former.contact.number)]
        if len(bucket.contacts) < self._k:
            self._move_up(bucket, former.heard, but=contact.endpoint)
        return in_the_way

    def _enter(self, contact: Contact, now: float) -> Contact | None:
        if not self.admits(contact):
            return None
        while True:
            index = self.bucket_of(contact.number)
            bucket = self.buckets[index]
            if len(bucket.contacts) < self._k:
                self._place(bucket, Peer(contact, now))
                return None
            if index < len(self.buckets) - 1 or len(self.buckets) == ID_BITS:
                break
            self._split()
        self._wait(bucket, contact)
        return next(iter(bucket.contacts.values()))

    def _wait(self, bucket: KBucket, contact: Contact) -> None:
        waiting = bucket.replacements
        waiting.pop(contact.number, None)
        if len(waiting) >= self._k:
            del waiting[next(iter(waiting))]
        waiting[contact.number] = contact

    def _place(self, bucket: KBucket, peer: Peer) -> None:
        contact = peer.contact
        bucket.contacts[contact.number] = contact
        bucket.replacements.pop(contact.number, None)
        self._by_id[contact.id] = peer
        self._by_endpoint[contact.endpoint] = peer
        if self._limits is not None:
            self._networks.add(contact.network)
        if self.changed is not None:
            self.changed(contact, True)
        if contact in self._gone:
            self._gone.remove(contact)
        else:
            self._came.append(contact)

    def take_changes(self) -> tuple[dict[int, Contact], dict[int, Contact]]:
        """Who came into the table and who went since this was last asked, by number."""
        came = {contact.number: contact for contact in self._came}
        gone = {contact.number: contact for contact in self._gone}
        self._came.clear()
        self._gone.clear()
        return came, gone

    def forget(self, contact: Contact) -> Contact | None:
        """As ``remove``, of one that handed over what it held: it does not count as one who
        went, after whom others would have to look."""
        successor = self.remove(contact)
        if contact in self._gone:
            self._gone.remove(contact)
        return successor

    def _split(self) -> None:
        """Part the own bucket: what shares one bit more moves on to a new own bucket."""
        last = self.buckets[-1]
        new = KBucket(last.looked_up)
        self.buckets.append(new)
        index = len(self.buckets) - 1
        for number in [n for n in last.contacts if self.bucket_of(n) == index]:
            new.contacts[number] = last.contacts.pop(number)
        for number in [n for n in last.replacements if self.bucket_of(n) == index]:
            new.replacements[number] = last.replacements.pop(number)

    def remove(self, contact: Contact, now: float | None = None) -> Contact | None:
        """Take a dead contact out; the best of the replacement cache moves up.

        Returns the contact that moved up. It answered once, some time ago: with ``now``
        it enters as heard from at that time.
        """
        bucket = self.buckets[self.bucket_of(contact.number)]
        if bucket.replacements.get(contact.number) == contact:
            del bucket.replacements[contact.number]
        peer = self._by_id.get(contact.id)
        if peer is None or peer.contact != contact:
            return None
        self._take_out(peer)
        return self._move_up(bucket, peer.heard if now is None else now)

    def _take_out(self, peer: Peer) -> None:
        contact = peer.contact
        del self._by_id[contact.id]
        del self._by_endpoint[contact.endpoint]
        del self.buckets[self.bucket_of(contact.number)].contacts[contact.number]
        if self._limits is not None:
            self._networks.remove(contact.network)
        if self.changed is not None:
            self.changed(contact, False)
        if contact in self._came:
            self._came.remove(contact)
        else:
            self._gone.append(contact)

    def _move_up(
        self, bucket: KBucket, heard: float, but: Endpoint | None = None
    ) -> Contact | None:
        """Give a free place to the best of those that wait and whose id and endpoint nobody
        in the table has; to none of a crowd, nor to one at an endpoint that just said it has
        another id."""
        waiting = bucket.replacements
        while waiting:
            _, successor = waiting.popitem()
            endpoint = successor.endpoint
            if endpoint == but or not self.admits(successor):
                continue
            if successor.id not in self._by_id and endpoint not in self._by_endpoint:
                peer = Peer(successor, heard)
                peer.answered = -math.inf  # it did once, but that time was not kept
                self._place(bucket, peer)
                return successor
        return None

    def closest(self, target: bytes, count: int, but: bytes = b"") -> list[Contact]:
        """Exactly the ``count`` contacts nearest to ``target``, nearest first.

        ``but`` is an id that is left out, such as the asker's own.
        """
        number = to_int(target)
        found: list[Contact] = []
        for group in self._groups(number, but):
            found += [group[each] for each in sorted(group, key=number.__xor__)]
            if len(found) >= count:
                return found[:count]
        return found

    def nearest(self, target: bytes, count: int, but: bytes = b"") -> list[Contact]:
        """The same contacts as ``closest``, in any order: mostly without sorting."""
        number = to_int(target)
        found: list[Contact] = []
        for group in self._groups(number, but):
            room = count - len(found)
            if len(group) > room:
                return found + [group[n] for n in sorted(group, key=number.__xor__)[:room]]
            found += group.values()
        return found

    def _groups(self, number: int, but: bytes) -> Iterator[dict[int, Contact]]:
        """The buckets' contacts, each bucket as a whole nearer to ``number`` than the next.

        Where the number differs from the own id in a bucket's bit, it shares that bit with
        the bucket's contacts, so they are nearer than all of later buckets; else farther.
        """
        buckets, last = self.buckets, len(self.buckets) - 1
        distance, left_out = number ^ self._own, to_int(but) if but else -1
        first = min(ID_BITS - distance.bit_length(), last)
        for index in range(first, last):
            if distance >> (ID_BITS - 1 - index) & 1:
                yield _without(buckets[index].contacts, left_out)
        yield _without(buckets[last].contacts, left_out)
        for index in range(last - 1, -1, -1):
            if not distance >> (ID_BITS - 1 - index) & 1:
                yield _without(buckets[index].contacts, left_out)

    def silent(self, before: float, count: int, grace: float = 0.0) -> list[Contact]:
        """Up to ``count`` contacts not heard from since ``before``, the longest silent first.

        Those that asked us last, and did not answer, are to be asked some seconds of ``grace``
        earlier, the others later: so two that know each other take turns, and each has shown
        the other now and then that it is where it seems to be.
        """
        silent = [
            peer
            for peer in self._by_id.values()
            if peer.heard < (before - grace if peer.answered >= peer.heard else before + grace)
        ]
        silent.sort(key=lambda peer: peer.heard)
        return [peer.contact for peer in silent[:count]]

    def looked_up(self, target: bytes, now: float) -> None:
        """Note a lookup of ``target``, so that its bucket needs no refresh for a while."""
        self.buckets[self.bucket_of(to_int(target))].looked_up = now


def _without(group: dict[int, Contact], number: int) -> dict[int, Contact]:
    if number not in group:
        return group
    return {each: contact for each, contact in group.items() if each != number}
