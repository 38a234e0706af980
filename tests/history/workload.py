"""The operations of a run: drawn from a seed, one after the other."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field

from tests.history.model import Kind

_WRITES = {
    Kind.ADD: 10,
    Kind.PUBLISH: 4,
    Kind.UNPUBLISH: 1,
    Kind.REMOVE: 3,
    Kind.SIGNED: 4,
    Kind.IMMUTABLE: 1,
}
_FIND_SHARE = 0.6
_EXHAUSTIVE_SHARE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """The keys, lifetimes and kinds of operations."""

    ttls: tuple[int, ...]
    """TTLs in seconds, equally likely."""
    key_count: int = 8
    signer_count: int = 3
    with_records: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One operation; the driver chooses the node."""

    kind: Kind | None
    """The kind of the write; None for a find."""
    key: str
    value: bytes = b""
    ttl: int = 0
    signer: int = 0
    seq: int = 0
    is_exhaustive: bool = True


@dataclass(slots=True)
class Workload:
    """Draws operations; each value is unique."""

    rng: random.Random
    mix: Mix
    signer_keys: list[str] = field(default_factory=list)
    """The keys of the signers' records."""
    _count: int = 0
    _seqs: dict[int, list[int]] = field(default_factory=dict)
    _immutable_keys: list[str] = field(default_factory=list)

    def next(self) -> Step:
        """Return the next operation."""
        rng = self.rng
        self._count += 1
        if rng.random() < _FIND_SHARE:
            return Step(None, self._any_key(), is_exhaustive=rng.random() < _EXHAUSTIVE_SHARE)
        kinds = [each for each in _WRITES if self.mix.with_records or each in _PLAIN]
        kind = rng.choices(kinds, [_WRITES[each] for each in kinds])[0]
        value, ttl = b"w%d" % self._count, rng.choice(self.mix.ttls)
        if kind is Kind.IMMUTABLE:
            key = hashlib.sha1(b"%d:%b" % (len(value), value)).hexdigest()  # of its bencoding
            self._immutable_keys.append(key)
            return Step(kind, key, value, ttl)
        if kind is Kind.SIGNED:
            signer = rng.randrange(self.mix.signer_count)
            return Step(kind, self.signer_keys[signer], value, ttl, signer, self._seq(signer))
        if kind in (Kind.REMOVE, Kind.UNPUBLISH):
            return Step(kind, self._plain_key())
        return Step(kind, self._plain_key(), value, ttl)

    def _seq(self, signer: int) -> int:
        """Return an unused sequence number, mostly a higher one than all before."""
        used = self._seqs.setdefault(signer, [1])
        seq = max(used) + self.rng.choice((1, 1, 1, 7))
        if self.rng.random() < 0.2 and max(used) - 1 not in used:
            seq = max(used) - 1
        used.append(seq)
        return seq

    def _plain_key(self) -> str:
        return hashlib.sha1(b"key %d" % self.rng.randrange(self.mix.key_count)).hexdigest()

    def _any_key(self) -> str:
        if self.mix.with_records and self.rng.random() < 0.3:
            return self.rng.choice(self.signer_keys + self._immutable_keys[-5:])
        return self._plain_key()


_PLAIN = (Kind.ADD, Kind.PUBLISH, Kind.UNPUBLISH, Kind.REMOVE)
