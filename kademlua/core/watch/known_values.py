"""What a watcher knows of one key, from the reports of several holders."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final

from kademlua.core.watch.changes import Change, ChangeKind
from kademlua.core.watch.snapshot import HeldValue, Identity
from kademlua.core.wire import replies

MAX_GONE: Final = 1_024
"""Values that are gone and remembered."""

AcceptValues = Callable[[list[Any]], list[Any]]
"""Returns the accepted ones of a key's values: its record if it has one."""


class KnownValues:
    """The values of a key, by owner; those of unknown owners by themselves.

    A value counts as soon as one holder reports it, since the others follow. It is gone when most
    of the holders that had it have lost it: one that is behind, or lies, removes nothing. What is
    gone comes back with a higher sequence number, or if half of the holders have it.
    """

    def __init__(self, accept: AcceptValues) -> None:
        """Know nothing yet; ``accept`` verifies records."""
        self._accept = accept
        self._by_holder: dict[Hashable, dict[Identity, HeldValue]] = {}
        self._had_by: dict[Identity, set[Hashable]] = {}
        """The holders that reported a value since it was added, by owner."""
        self._gone: dict[Identity, int] = {}
        """The sequence numbers of values that are gone, by owner, the oldest first."""
        self._shown: dict[Identity, HeldValue] = {}

    def report(self, holder: Hashable, values: list[HeldValue]) -> None:
        """Replace what a holder has."""
        self._by_holder[holder] = {each.identity: each for each in values}
        for each in values:
            self._had_by.setdefault(each.identity, set()).add(holder)

    def forget(self, holder: Hashable) -> None:
        """Ignore a holder from now on."""
        self._by_holder.pop(holder, None)
        for had_by in self._had_by.values():
            had_by.discard(holder)

    def shown(self) -> list[Change]:
        """Return the present values, as added ones."""
        return [_change(ChangeKind.ADDED, each) for each in self._shown.values()]

    def changes(self, now: float) -> list[Change]:
        """Return what changed since the last call."""
        if not self._by_holder:
            return []
        present = self._present()
        gone = {each: value for each, value in self._shown.items() if each not in present}
        new = {each: value for each, value in present.items() if each not in self._shown}
        found = _match_without_owner(gone, new)
        for each in gone.values():
            kind = ChangeKind.EXPIRED if each.expires_at <= now else ChangeKind.REMOVED
            found.append(_change(kind, each))
        for identity, each in present.items():
            if identity in new:
                found.append(_change(ChangeKind.ADDED, each))
            elif identity in self._shown and self._shown[identity].encoded != each.encoded:
                found.append(_replaced(self._shown[identity], each))
        for identity, each in self._shown.items():
            if identity not in present:
                self._forget_value(identity, each.seq)
        self._shown = present
        reported = set().union(*self._by_holder.values())
        for identity in [each for each in self._had_by if each not in reported]:
            del self._had_by[identity]  # gone, or never accepted
        return found

    def _forget_value(self, identity: Identity, seq: int) -> None:
        """Remember that a value is gone, so that a holder that is behind does not bring it back."""
        self._had_by.pop(identity, None)
        self._gone.pop(identity, None)
        self._gone[identity] = seq
        if len(self._gone) > MAX_GONE:
            del self._gone[next(iter(self._gone))]

    def _present(self) -> dict[Identity, HeldValue]:
        """Return the newest version of each value that counts."""
        counts: dict[Identity, int] = {}
        newest: dict[Identity, HeldValue] = {}
        for values in self._by_holder.values():
            for identity, each in values.items():
                counts[identity] = counts.get(identity, 0) + 1
                other = newest.get(identity)
                if other is None or (each.seq, each.expires_at) > (other.seq, other.expires_at):
                    newest[identity] = each
        present = {
            identity: each
            for identity, each in newest.items()
            if self._counts_as_present(identity, each, counts[identity])
        }
        decoded = [replies.decode_value(each.encoded) for each in present.values()]
        accepted = self._accept(decoded)
        if len(accepted) == len(decoded):  # the usual case
            return present
        encoded = {replies.encode_value(each) for each in accepted}
        return {key: each for key, each in present.items() if each.encoded in encoded}

    def _counts_as_present(self, identity: Identity, value: HeldValue, count: int) -> bool:
        if identity in self._shown:
            return 2 * count >= len(self._had_by.get(identity, ()))
        if identity in self._gone and value.seq <= self._gone[identity]:
            return 2 * count >= len(self._by_holder)
        return True


def _match_without_owner(
    gone: dict[Identity, HeldValue], new: dict[Identity, HeldValue]
) -> list[Change]:
    """Take out of both what is probably the same owner's, and return which values were replaced.

    If a value is still there, only its owner became known or unknown, which is no change. Otherwise
    a value of an unknown owner takes the place of one of an unknown owner.
    """
    by_encoded = {each.encoded: identity for identity, each in new.items()}
    for identity, each in list(gone.items()):
        match = by_encoded.get(each.encoded)
        if match is None or match not in new:
            continue
        if each.owner is None or new[match].owner is None:
            del gone[identity], new[match]
    former = [identity for identity, each in gone.items() if each.owner is None]
    later = [identity for identity, each in new.items() if each.owner is None]
    found: list[Change] = []
    for identity, successor in zip(former, later, strict=False):
        found.append(_replaced(gone.pop(identity), new.pop(successor)))
    return found


def _change(kind: ChangeKind, value: HeldValue) -> Change:
    return Change(kind, value.owner, replies.decode_value(value.encoded))


def _replaced(former: HeldValue, value: HeldValue) -> Change:
    decoded, former_decoded = map(replies.decode_value, (value.encoded, former.encoded))
    return Change(ChangeKind.REPLACED, value.owner, decoded, former_decoded)
