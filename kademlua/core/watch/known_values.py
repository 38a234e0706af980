"""What a watcher knows of one key, from the reports of several holders."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final

from kademlua.core.contact import Contact
from kademlua.core.watch.changes import Change, ChangeKind
from kademlua.core.watch.snapshot import HeldValue
from kademlua.core.wire import replies

MAX_GONE: Final = 1_024
"""Values that are gone and remembered."""

AcceptValues = Callable[[list[Any]], list[Any]]
"""Returns the accepted ones of a key's values: its record if it has one."""


class KnownValues:
    """The values of a key, by owner.

    A value counts as soon as one holder reports it, since the others follow. It is gone when most
    of the holders that had it have lost it: one that is behind, or lies, removes nothing. What is
    gone comes back with a higher sequence number, or if half of the holders have it.
    """

    def __init__(self, accept: AcceptValues) -> None:
        """Know nothing yet; ``accept`` verifies records."""
        self._accept = accept
        self._by_holder: dict[Hashable, dict[Contact, HeldValue]] = {}
        self._had_by: dict[Contact, set[Hashable]] = {}
        """The holders that reported a value since it was added, by owner."""
        self._gone: dict[Contact, int] = {}
        """The sequence numbers of values that are gone, by owner, the oldest first."""
        self._shown: dict[Contact, HeldValue] = {}

    def report(self, holder: Hashable, values: list[HeldValue]) -> None:
        """Replace what a holder has."""
        self._by_holder[holder] = {each.owner: each for each in values}
        for each in values:
            self._had_by.setdefault(each.owner, set()).add(holder)

    def forget(self, holder: Hashable) -> None:
        """Ignore a holder from now on."""
        self._by_holder.pop(holder, None)
        for had_by in self._had_by.values():
            had_by.discard(holder)

    def shown(self) -> list[Change]:
        """Return the present values, as added ones."""
        return [
            Change(ChangeKind.ADDED, owner, replies.decode_value(each.encoded))
            for owner, each in self._shown.items()
        ]

    def changes(self, now: float) -> list[Change]:
        """Return what changed since the last call."""
        if not self._by_holder:
            return []
        present = self._present()
        found: list[Change] = []
        for owner, each in list(self._shown.items()):
            if owner not in present:
                kind = ChangeKind.EXPIRED if each.expires_at <= now else ChangeKind.REMOVED
                found.append(Change(kind, owner, replies.decode_value(each.encoded)))
                self._forget_value(owner, each.seq)
        for owner, each in present.items():
            former = self._shown.get(owner)
            if former is None or former.encoded != each.encoded:
                kind = ChangeKind.ADDED if former is None else ChangeKind.REPLACED
                found.append(Change(kind, owner, replies.decode_value(each.encoded)))
        self._shown = present
        reported = set().union(*self._by_holder.values())
        for owner in [each for each in self._had_by if each not in reported]:
            del self._had_by[owner]  # gone, or never accepted
        return found

    def _forget_value(self, owner: Contact, seq: int) -> None:
        """Remember that a value is gone, so that a holder that is behind does not bring it back."""
        self._had_by.pop(owner, None)
        self._gone.pop(owner, None)
        self._gone[owner] = seq
        if len(self._gone) > MAX_GONE:
            del self._gone[next(iter(self._gone))]

    def _present(self) -> dict[Contact, HeldValue]:
        """Return the newest version of each value that counts."""
        counts: dict[Contact, int] = {}
        newest: dict[Contact, HeldValue] = {}
        for values in self._by_holder.values():
            for owner, each in values.items():
                counts[owner] = counts.get(owner, 0) + 1
                other = newest.get(owner)
                if other is None or (each.seq, each.expires_at) > (other.seq, other.expires_at):
                    newest[owner] = each
        present = {
            owner: each
            for owner, each in newest.items()
            if self._counts_as_present(owner, each, counts[owner])
        }
        decoded = [replies.decode_value(each.encoded) for each in present.values()]
        accepted = self._accept(decoded)
        if len(accepted) == len(decoded):  # the usual case
            return present
        encoded = {replies.encode_value(each) for each in accepted}
        return {owner: each for owner, each in present.items() if each.encoded in encoded}

    def _counts_as_present(self, owner: Contact, value: HeldValue, count: int) -> bool:
        if owner in self._shown:
            return 2 * count >= len(self._had_by.get(owner, ()))
        if owner in self._gone and value.seq <= self._gone[owner]:
            return 2 * count >= len(self._by_holder)
        return True
